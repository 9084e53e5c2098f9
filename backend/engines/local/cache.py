"""What the model has already read: keys and values of several conversations, one row each, reused as far as they agree.

Every row is contiguous and has its own length, so that a row can be read into, cut and replaced while its neighbours
go on. The tensors have as many rows as were ever used, and grow as the longest row does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING
from weakref import ref

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.engines.local.prompt import Prompt
    from backend.types import Frame

GROWTH = 512  # tokens; whoever grows one by one copies everything for each


@dataclass(frozen=True, slots=True)
class Window:
    """Where the next forward pass writes: `new` tokens in each of the rows `first` to `last` (exclusive).

    `places` is [rows, new], the place of each new token in its row; a row is visible up to the largest of all places.
    """

    first: int
    last: int
    places: torch.Tensor

    @property
    def length(self) -> int:
        """How much of the rows the pass looks at."""
        return int(self.places.max()) + 1

    @property
    def even(self) -> bool:
        """Whether plain attention is right: causal from the very beginning, or one token each in rows equally long."""
        new = self.places.shape[1]
        return self.length == new or (new == 1 and int(self.places.min()) + 1 == self.length)

    @property
    def behind_known(self) -> bool:
        """Whether it is several tokens of one row, which follow each other and what is known."""
        return self.last - self.first == 1 and self.places.shape[1] > 1


class KeyValues:
    """The keys and values of every layer, [rows, heads, tokens, width]; written by the model's attention layers."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Free the memory, also of rows that will not be used again."""
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._window: Window | None = None

    def aim(self, window: Window) -> None:
        """Say where the next forward pass writes."""
        self._window = window
        self._length = window.length
        self._indices: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Called by each attention layer: keep what is new, and give everything that the rows hold.

        Raises:
            RuntimeError: nobody said where to.
        """
        window = self._window
        if window is None:
            raise RuntimeError("aim before the forward pass")
        held = self._layers.get(layer)
        if held is None or held[0].shape[0] < window.last or held[0].shape[2] < self._length:
            kept = held or (None, None)
            held = self._layers[layer] = (self._grown(kept[0], keys, window), self._grown(kept[1], values, window))
        rows, places = self._on(keys.device, window)
        for store, new in zip(held, (keys, values), strict=True):
            store[rows, :, places] = new.transpose(1, 2)
        shown = slice(window.first, window.last)
        return held[0][shown, :, : self._length], held[1][shown, :, : self._length]

    def _grown(self, store: torch.Tensor | None, like: torch.Tensor, window: Window) -> torch.Tensor:
        """What is held, with room for the window."""
        rows, length = (0, 0) if store is None else (store.shape[0], store.shape[2])
        rows, length = max(rows, window.last), max(length, -(-self._length // GROWTH) * GROWTH)
        grown = like.new_zeros(rows, like.shape[1], length, like.shape[3])
        if store is not None:
            grown[: store.shape[0], :, : store.shape[2]] = store
        return grown

    def _on(self, device: torch.device, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """The indices of what is written; layers may lie on several GPUs."""
        if device not in self._indices:
            rows = torch.arange(window.first, window.last, device=device)
            self._indices[device] = (rows[:, None], window.places.to(device))
        return self._indices[device]


class Row:
    """What one row of the keys and values stands for. `owner` is whoever asked last, `used` says when."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.clear()

    def __len__(self) -> int:
        return len(self._ids)

    def clear(self) -> None:
        """Stand for nothing."""
        self._ids: list[int] = []
        self._frames: tuple[ref[Frame], ...] = ()
        self.owner = 0
        self.used = 0

    @property
    def abandoned(self) -> bool:
        """Whether no conversation can go on from here: it is empty, or some of its pictures are gone."""
        return not self._ids or any(frame() is None for frame in self._frames)

    def common_pictures(self, prompt: Prompt) -> int:
        """With how many of this row's pictures `prompt` begins."""
        pairs = zip(self._frames, prompt.spans, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0]() is pair[1].frame, pairs))

    def keep_common(self, prompt: Prompt) -> int:
        """Cut down to what `prompt` begins with, and say how many of its tokens that is.

        At least one token is left to compute, because generation starts from its output; pictures are kept whole or
        not at all. Two pictures are the same only if they are the same `Frame`: their tokens never differ.
        """
        kept = min(_common(self._ids, prompt.ids), len(prompt.ids) - 1)
        for known, span in zip(self._frames, prompt.spans, strict=False):
            if known() is not span.frame:
                kept = min(kept, span.start)
        for span in prompt.spans:
            if span.start < kept < span.stop:
                kept = span.start
        del self._ids[kept:]
        return kept

    def hold(self, prompt: Prompt) -> None:
        """Note that the whole prompt has been read."""
        self._ids = list(prompt.ids)
        self._frames = tuple(ref(span.frame) for span in prompt.spans)

    def append(self, token: int) -> None:
        """Note that one more token has been read."""
        self._ids.append(token)


def _common(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    length = min(len(ours), len(theirs))
    return next((place for place in range(length) if ours[place] != theirs[place]), length)
