"""Each frame is encoded once, for as long as somebody keeps it."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch

from backend.engines.local.vision import ENCODED_AT_ONCE, Gallery
from tests.unit.engines.local.pictures import noise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from tests.checkpoints import Checkpoint


@dataclass(slots=True)
class Counting:
    """An image processor that counts the pictures it is given."""

    process: Any
    batches: list[int] = field(default_factory=list)

    def __call__(self, images: list[Image], *, return_tensors: str) -> Mapping[str, torch.Tensor]:
        self.batches.append(len(images))
        inputs: Mapping[str, torch.Tensor] = self.process(images, return_tensors=return_tensors)
        return inputs


@pytest.fixture
def counting(checkpoint: Checkpoint) -> Counting:
    return Counting(checkpoint.image_processor)


@pytest.fixture
def gallery(counting: Counting, checkpoint: Checkpoint) -> Gallery:
    return Gallery(counting, checkpoint.model)


@torch.inference_mode()
def test_a_frame_is_encoded_once_however_often_it_is_shown(counting: Counting, gallery: Gallery) -> None:
    first, second = noise(1), noise(2)
    assert gallery.show([]) == ()
    shown = gallery.show([first, second, first])
    assert shown[0] is shown[2]
    assert gallery.show([second, first]) == (shown[1], shown[0])
    assert counting.batches == [2]


@torch.inference_mode()
def test_many_frames_are_encoded_a_few_at_a_time(counting: Counting, gallery: Gallery) -> None:
    frames = [noise(seed) for seed in range(2 * ENCODED_AT_ONCE + 1)]
    assert len(gallery.show(frames)) == len(frames)
    assert counting.batches == [ENCODED_AT_ONCE, ENCODED_AT_ONCE, 1]


@torch.inference_mode()
def test_equal_pixels_in_another_frame_are_another_picture(gallery: Gallery) -> None:
    one, other = gallery.show([noise(1), noise(1)])
    assert one is not other
    assert torch.equal(one.features, other.features)


@torch.inference_mode()
def test_pictures_are_freed_with_their_frames(gallery: Gallery) -> None:
    frame = noise(1)
    gallery.show([frame])
    assert len(gallery) == 1
    del frame
    gc.collect()
    assert len(gallery) == 0


@torch.inference_mode()
def test_clear_forgets_everything(counting: Counting, gallery: Gallery) -> None:
    frame = noise(1)
    gallery.show([frame])
    gallery.clear()
    gallery.show([frame])
    assert counting.batches == [1, 1]
