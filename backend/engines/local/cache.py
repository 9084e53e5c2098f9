"""What the model has already read: keys and values of the last conversation, reused as far as the next one agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from transformers import DynamicCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PretrainedConfig

    from backend.engines.local.prompt import Prompt
    from backend.types import Frame


class PrefixCache:
    """`values` holds the keys and values of the tokens read so far, in the library's own class."""

    def __init__(self, text_config: PretrainedConfig) -> None:
        """`text_config` describes the layers of the language model."""
        self._text_config = text_config
        self.clear()

    def clear(self) -> None:
        """Forget everything and free the memory."""
        self.values = DynamicCache(config=self._text_config)
        self._ids: tuple[int, ...] = ()
        self._frames: tuple[ref[Frame], ...] = ()

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
        self._crop(kept)
        self._ids = self._ids[:kept]
        return kept

    def remember(self, prompt: Prompt, generated: Sequence[int]) -> None:
        """Note what the cache holds after generating; the last token was never fed back."""
        everything = (*prompt.ids, *generated)
        self._crop(len(everything) - 1)
        self._ids = everything[: self.values.get_seq_length()]
        self._frames = tuple(ref(span.frame) for span in prompt.spans)

    def _crop(self, length: int) -> None:
        surplus = self.values.get_seq_length() - length
        if surplus > 0:
            self.values.crop(-surplus)


def _common(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    length = min(len(ours), len(theirs))
    return next((place for place in range(length) if ours[place] != theirs[place]), length)
