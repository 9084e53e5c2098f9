"""Pictures as the model sees them: the checkpoint's own image processing, features computed once per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import BaseImageProcessor, Qwen2_5_VLForConditionalGeneration

    from backend.types import Frame

# Bounds the vision tower's memory; a worst-case call asks for 24 pictures at once.
ENCODED_AT_ONCE = 8


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """`features` [merged patches, width of the language model]; `grid` is (time, rows, columns) in unmerged patches."""

    grid: tuple[int, int, int]
    features: torch.Tensor


class Gallery:
    """Pictures by frame, kept for as long as somebody else keeps the frame: a task's end frees their memory."""

    def __init__(self, image_processor: BaseImageProcessor, model: Qwen2_5_VLForConditionalGeneration) -> None:
        """`image_processor` turns PIL images into patches, `model` encodes them."""
        self._process = image_processor
        self._model = model
        self._pictures: WeakKeyDictionary[Frame, Picture] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._pictures)

    def show(self, frames: Sequence[Frame]) -> tuple[Picture, ...]:
        """One picture per frame, in the same order; only frames never seen before are encoded."""
        unseen = [frame for frame in dict.fromkeys(frames) if frame not in self._pictures]
        for start in range(0, len(unseen), ENCODED_AT_ONCE):
            self._encode(unseen[start : start + ENCODED_AT_ONCE])
        return tuple(self._pictures[frame] for frame in frames)

    def clear(self) -> None:
        """Forget everything."""
        self._pictures.clear()

    def _encode(self, frames: Sequence[Frame]) -> None:
        inputs = self._process([frame.image for frame in frames], return_tensors="pt")
        device = self._model.model.visual.device
        encoded = self._model.get_image_features(
            inputs["pixel_values"].to(device), inputs["image_grid_thw"].to(device), return_dict=True
        )
        for frame, grid, features in zip(frames, inputs["image_grid_thw"].tolist(), encoded.pooler_output, strict=True):
            # A copy, because a view would keep the whole batch alive as long as any of its pictures.
            self._pictures[frame] = Picture(tuple(grid), features.clone())
