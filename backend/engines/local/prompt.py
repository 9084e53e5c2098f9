"""A conversation as the model reads it: token ids, where its pictures stand, and M-RoPE positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from backend.errors import EngineError
from backend.types import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

    from backend.engines.local.vision import Picture
    from backend.types import Conversation, Text


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens `start` to `stop` (exclusive) of a prompt stand for this frame."""

    frame: Frame
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """`ids` holds one image token per merged patch; `spans` are its pictures in order.

    `positions` is [4, 1, tokens]: place in the text, then time, row and column as the model's rotary embedding wants.
    """

    ids: tuple[int, ...]
    spans: tuple[Span, ...]
    positions: torch.Tensor


def frames_of(conversation: Conversation) -> tuple[Frame, ...]:
    """All pictures in the order in which the model sees them."""
    return tuple(part for message in conversation for part in message.parts if isinstance(part, Frame))


class Prompter:
    """Writes prompts as the checkpoint's own processor does, without its torchvision dependency."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: Qwen2_5_VLForConditionalGeneration) -> None:
        """`tokenizer` carries the chat template; `model` says which token stands for a patch and how patches merge."""
        self._tokenizer = tokenizer
        self._rope = model.model.get_rope_index
        self._image = model.config.image_token_id
        self._merge = model.config.vision_config.spatial_merge_size**2

    def text(self, conversation: Conversation) -> str:
        """The conversation in the checkpoint's chat template, open for the assistant's next message."""
        messages = [
            {"role": message.role, "content": [_content(part) for part in message.parts]} for message in conversation
        ]
        rendered: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return rendered

    def prompt(self, conversation: Conversation, pictures: Sequence[Picture]) -> Prompt:
        """`pictures` belong to `frames_of(conversation)`, in this order.

        Raises:
            EngineError: the text itself holds image tokens, so that pictures and their places would not match.
        """
        frames = frames_of(conversation)
        plain: list[int] = self._tokenizer(self.text(conversation), add_special_tokens=False)["input_ids"]
        if (places := plain.count(self._image)) != len(frames):
            raise EngineError(
                f"The conversation has {len(frames)} pictures but {places} places for them: its text holds the "
                "model's own image token. Remove that token from the task's prompt."
            )
        ids, spans = self._spread(plain, frames, pictures)
        return Prompt(tuple(ids), tuple(spans), self._positions(ids, [picture.grid for picture in pictures]))

    def _spread(
        self, plain: list[int], frames: Sequence[Frame], pictures: Sequence[Picture]
    ) -> tuple[list[int], list[Span]]:
        """Repeat each image token as often as its picture has merged patches."""
        ids: list[int] = []
        spans: list[Span] = []
        for token in plain:
            if token != self._image:
                ids.append(token)
                continue
            time, rows, columns = pictures[len(spans)].grid
            start, count = len(ids), time * rows * columns // self._merge
            spans.append(Span(frames[len(spans)], start, start + count))
            ids.extend([token] * count)
        return ids, spans

    def _positions(self, ids: list[int], grids: list[tuple[int, int, int]]) -> torch.Tensor:
        """Given to the model on every call, because what it works out itself it keeps as state between calls."""
        row = torch.tensor([ids])
        spatial, _ = self._rope(
            row,
            mm_token_type_ids=(row == self._image).int(),
            image_grid_thw=torch.tensor(grids) if grids else None,
        )
        return torch.cat([torch.arange(len(ids)).view(1, 1, -1), spatial])


def _content(part: Text | Frame) -> dict[str, str]:
    return {"type": "image"} if isinstance(part, Frame) else {"type": "text", "text": part.text}
