"""Watching and steering `model.generate`, the one door through which both loops ask the model for tokens."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from backend.reasoning.contract import VRTHINKER_128

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True)
class Script:
    """One reply: `free` tokens of the model's own choice, then `text`, then the end."""

    free: int
    text: str


@dataclass(slots=True)
class Log:
    """Token ids of each call: the whole prompt, and what was generated."""

    prompts: list[list[int]] = field(default_factory=list)
    replies: list[list[int]] = field(default_factory=list)


class Forced(LogitsProcessor):  # type: ignore[misc]  # the library has no types
    """Lets the model choose `free` ordinary tokens, then leaves it only the scripted ones."""

    def __init__(self, start: int, free: int, forced: Sequence[int], never: Sequence[int]) -> None:
        self._start, self._free, self._forced, self._never = start, free, forced, list(never)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        place = input_ids.shape[1] - self._start - self._free
        if place < 0:
            scores[:, self._never] = -torch.inf
            return scores
        chosen = torch.full_like(scores, -torch.inf)
        chosen[:, self._forced[place]] = 0
        return chosen


@contextmanager
def watched(checkpoint: Checkpoint, scripts: Sequence[Script] | None = None) -> Iterator[Log]:
    """Log every generation; with `scripts`, steer call k by script k."""
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    log, generate = Log(), model.generate
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    added = tokenizer.added_tokens_decoder
    never = [i for i in range(model.config.text_config.vocab_size) if i in added or i >= len(tokenizer)]

    def watch(*, input_ids: torch.Tensor, **inputs: object) -> torch.Tensor:
        length = input_ids.shape[1]
        if scripts is not None:
            script = scripts[len(log.prompts)]
            forced = [*tokenizer(script.text, add_special_tokens=False)["input_ids"], end]
            steering = Forced(length, script.free, forced, never)
            inputs["logits_processor"] = LogitsProcessorList([steering])
        log.prompts.append(input_ids[0].tolist())
        sequence: torch.Tensor = generate(input_ids=input_ids, **inputs)
        log.replies.append(sequence[0, length:].tolist())
        return sequence

    model.generate = watch
    try:
        yield log
    finally:
        del model.generate


def long_conversation(seed: int, turns: int, most: int) -> list[Script]:
    """Scripts of `turns` - 1 requests for 1 to `most` pairs each, then an answer; free words before each."""
    rng = np.random.default_rng(seed)
    scripts = []
    for _ in range(turns - 1):
        count = int(rng.integers(1, most + 1))
        indices = sorted(rng.choice(VRTHINKER_128.slots, count, replace=False).tolist())
        call = f'{{"name": "select_frames", "arguments": {{"frame_indices": {indices}}}}}'
        scripts.append(Script(int(rng.integers(3, 24)), f"</Think><tool_call>{call}</tool_call>"))
    ta, vq, mq, oa = rng.integers(0, 3, 4).tolist()
    answer = f"</Think><Answer>TA={ta}, VQ={vq}, MQ={mq}, OA={oa}</Answer>"
    return [*scripts, Script(int(rng.integers(3, 24)), answer)]
