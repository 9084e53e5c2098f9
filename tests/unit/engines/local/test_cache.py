"""How much of the last conversation is kept: the longest common prefix, whole pictures, the same frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from transformers import Qwen2_5_VLTextConfig

from backend.engines.local.cache import PrefixCache
from backend.engines.local.prompt import Prompt, Span
from tests.unit.engines.local.pictures import noise

if TYPE_CHECKING:
    from backend.types import Frame

A, B, C = noise(1), noise(2), noise(3)
PAD = 9


def prompt(*parts: int | Frame) -> Prompt:
    """Numbers are tokens; a frame is three image tokens."""
    ids: list[int] = []
    spans = []
    for part in parts:
        if isinstance(part, int):
            ids.append(part)
        else:
            spans.append(Span(part, len(ids), len(ids) + 3))
            ids += [PAD] * 3
    return Prompt(tuple(ids), tuple(spans), torch.empty(0))


def filled(held: Prompt, generated: list[int]) -> PrefixCache:
    """A cache after a generation: it holds everything but the last token."""
    cache = PrefixCache(Qwen2_5_VLTextConfig(num_hidden_layers=1))
    fill(cache, len(held.ids) + len(generated) - 1)
    cache.remember(held, generated)
    return cache


def fill(cache: PrefixCache, tokens: int) -> None:
    cache.values.update(torch.zeros(1, 1, tokens, 2), torch.zeros(1, 1, tokens, 2), 0)


HELD = prompt(1, 2, A, 3, B, 4)


@pytest.mark.parametrize(
    ("following", "kept"),
    [
        pytest.param(prompt(1, 2, A, 3, B, 4, 5, 6, 7), 12, id="the reply came back as it was generated"),
        pytest.param(prompt(1, 2, A, 3, B, 4, 5, 8, 7), 11, id="the reply came back as other tokens"),
        pytest.param(prompt(1, 2, A, 3, B, 4, 5, 6, C, 7), 12, id="a new picture follows"),
        pytest.param(HELD, 9, id="the same prompt again: its last token must be computed"),
        pytest.param(prompt(1, 2, A, 3, B), 6, id="shorter, ending in a picture: not cut inside it"),
        pytest.param(prompt(1, 2, A, 3, C, 4, 5, 6), 6, id="another second picture"),
        pytest.param(prompt(1, 2, C, 3, B, 4, 5, 6), 2, id="another first picture"),
        pytest.param(prompt(1, 2, 3, B, 4), 2, id="a picture left the memory window"),
        pytest.param(prompt(8, 2, A, 3), 0, id="another beginning"),
        pytest.param(prompt(1, 2, A, A, B, 4), 5, id="pictures without words between"),
    ],
)
def test_what_is_kept(following: Prompt, kept: int) -> None:
    cache = filled(HELD, [5, 6, 7])
    assert cache.keep_common(following) == kept
    assert cache.values.get_seq_length() == kept


def test_an_empty_cache_keeps_nothing() -> None:
    assert PrefixCache(Qwen2_5_VLTextConfig(num_hidden_layers=1)).keep_common(HELD) == 0


def test_after_clear_nothing_is_kept() -> None:
    cache = filled(HELD, [5])
    cache.clear()
    assert cache.keep_common(HELD) == 0


def test_a_frame_that_is_gone_is_never_mistaken_for_another() -> None:
    passing = noise(4)
    cache = filled(prompt(1, passing, 2), [3])
    del passing
    assert cache.keep_common(prompt(1, noise(4), 2, 3)) == 1


def test_a_step_computed_beyond_the_end_is_dropped() -> None:
    cache = PrefixCache(Qwen2_5_VLTextConfig(num_hidden_layers=1))
    fill(cache, 20)
    cache.remember(HELD, [5, 6])
    assert cache.values.get_seq_length() == len(HELD.ids) + 1
