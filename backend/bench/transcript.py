"""Forced transcripts: a model says given replies, whatever its weights, so that two ways of running it do like work."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

if TYPE_CHECKING:
    from types import TracebackType

    from backend.bench.shape import Parts
    from backend.reasoning.contract import Contract

FILLER = " and the motion of the subject is smooth"
ANSWER = "<Answer>TA=1, VQ=2, MQ=0, OA=1</Answer>"


@dataclass(frozen=True, slots=True)
class Transcript:
    """The replies of one conversation: requests for frames, then an answer; `calls` are the slots asked for."""

    replies: tuple[str, ...]
    calls: tuple[tuple[int, ...], ...]


def write_transcript(
    tokenizer: Any,  # noqa: ANN401  # the library has no types
    contract: Contract,
    *,
    turns: int,
    tokens: int,
    indices: int,
) -> Transcript:
    """`turns` replies of about `tokens` tokens (a request is never cut short), each request for `indices` slots."""
    chance = random.Random(7)  # noqa: S311  # the same conversation every time
    calls = [tuple(sorted(chance.sample(range(contract.slots), indices))) for _ in range(turns - 1)]
    ends = [
        f'<tool_call>{{"name": "select_frames", "arguments": {{"frame_indices": {list(slots)}}}}}</tool_call>'
        for slots in calls
    ]
    return Transcript(tuple(_padded(tokenizer, end, tokens) for end in (*ends, ANSWER)), tuple(calls))


def _padded(tokenizer: Any, end: str, tokens: int) -> str:  # noqa: ANN401  # the library has no types
    """A thought of the right length before it; the end token counts."""
    thought, words = "The first video", 0
    while len(tokenizer(reply := f"<Think>{thought}</Think>{end}")["input_ids"]) + 1 < tokens:
        thought += " " + FILLER.split()[words % len(FILLER.split())]
        words += 1
    return reply


class Forcing:
    """While open, every conversation's k-th reply is the transcript's; conversations may follow one another.

    In a batch all rows say the same. `log_probabilities` are the model's own for each forced token, in the order in
    which they were said: [tokens, rows]. They depend on everything that the model has read, so they are what two ways
    of running it must agree on.
    """

    def __init__(self, parts: Parts, transcript: Transcript) -> None:
        """`parts` are the model to force and its tokenizer."""
        end = parts.tokenizer.convert_tokens_to_ids("<|im_end|>")
        self._replies = [
            [*parts.tokenizer(reply, add_special_tokens=False)["input_ids"], end] for reply in transcript.replies
        ]
        self._model = parts.model
        self._turn = self._place = 0
        self._rows: list[torch.Tensor] = []

    @property
    def tokens(self) -> int:
        """How many tokens one conversation says."""
        return sum(len(reply) for reply in self._replies)

    def log_probabilities(self) -> torch.Tensor:
        """On the CPU in float32."""
        return torch.stack(self._rows).float().cpu()

    def __enter__(self) -> Self:
        read = self._model.model.language_model.register_forward_pre_hook(self._before, with_kwargs=True)
        said = self._model.get_output_embeddings().register_forward_hook(self._after)
        self._hooks = (read, said)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def _before(self, _module: torch.nn.Module, _args: object, inputs: dict[str, Any]) -> None:
        """More than one token at once is a prompt: the next turn begins."""
        if inputs["inputs_embeds"].shape[1] > 1 and self._place:
            self._turn, self._place = self._turn + 1, 0

    def _after(self, _module: torch.nn.Module, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        reply = self._replies[self._turn % len(self._replies)]
        token = reply[min(self._place, len(reply) - 1)]
        last = logits[:, -1].float()
        self._rows.append(last[:, token] - last.logsumexp(-1))
        self._place += 1
        forced = torch.full_like(logits, -torch.inf)
        forced[..., token] = 0
        return forced
