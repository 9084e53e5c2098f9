"""Forced transcripts: a model says given replies, whatever its weights, so that two ways of running it do like work."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessorList

from backend.types import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.engines.local.batch import Reply
    from backend.reasoning.contract import Contract
    from backend.types import Conversation

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
    """Makes every conversation's k-th reply the transcript's, for one run; conversations may overlap.

    `said` holds, for each conversation by its first question, the model's log-probability of every forced token, as it
    stood after a repetition penalty. It depends on everything that the model has read, so it is what two ways of
    running the model must agree on.
    """

    def __init__(self, tokenizer: Any, transcript: Transcript) -> None:  # noqa: ANN401  # the library has no types
        end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self._replies: list[list[int]] = [
            [*tokenizer(reply, add_special_tokens=False)["input_ids"], end] for reply in transcript.replies
        ]
        self._said: defaultdict[str, list[torch.Tensor]] = defaultdict(list)

    @property
    def tokens(self) -> int:
        """How many tokens one conversation says."""
        return sum(len(reply) for reply in self._replies)

    def said(self) -> dict[str, torch.Tensor]:
        """On the CPU in float32."""
        return {question: torch.stack(rows).float().cpu() for question, rows in self._said.items()}

    def choose(self, replies: Sequence[Reply], scores: torch.Tensor) -> list[int]:
        """For our engine: the next token of each reply in the making."""
        chosen = []
        for reply, row in zip(replies, scores, strict=True):
            turn = sum(message.role == "assistant" for message in reply.conversation)
            chosen.append(self._next(_question(reply.conversation), turn, len(reply.tokens), row))
        return chosen

    def processors(self, question: str, turn: int, start: int) -> LogitsProcessorList:
        """For the library's `generate`: what forces a reply that begins behind `start` tokens."""

        def force(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            forced = torch.full_like(scores, -torch.inf)
            forced[:, self._next(question, turn, ids.shape[1] - start, scores[0])] = 0
            return forced

        return LogitsProcessorList([force])

    def _next(self, question: str, turn: int, place: int, scores: torch.Tensor) -> int:
        token = self._replies[turn][place]
        self._said[question].append(scores[token].float() - scores.float().logsumexp(-1))
        return token


def _question(conversation: Conversation) -> str:
    """The text that came with the first pictures."""
    return "".join(part.text for part in conversation[1].parts if isinstance(part, Text))
