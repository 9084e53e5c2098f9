"""Watching and steering both loops: the reference through `model.generate`, the product through its engine's choice."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from backend.reasoning.contract import VRTHINKER_128

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backend.engines.local.batch import Reply
    from backend.types import Conversation
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
    """Lets the model choose `free` ordinary tokens, then leaves it only the scripted ones; without a script, all."""

    def __init__(self, checkpoint: Checkpoint, script: Script | None, start: int = 0) -> None:
        """`start` is how long the prompt is, where the library counts it in."""
        tokenizer, added = checkpoint.tokenizer, checkpoint.tokenizer.added_tokens_decoder
        self._script, self._start = script, start
        self._never = [
            i for i in range(checkpoint.model.config.text_config.vocab_size) if i in added or i >= len(tokenizer)
        ]
        self._forced: list[int] = []
        if script is not None:
            text = tokenizer(script.text, add_special_tokens=False)["input_ids"]
            self._forced = [*text, tokenizer.convert_tokens_to_ids("<|im_end|>")]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return self.steered(input_ids.shape[1] - self._start, scores)

    def steered(self, place: int, scores: torch.Tensor) -> torch.Tensor:
        """The scores [rows, vocabulary] of the reply's token at `place`, counted from 0."""
        if self._script is None:
            return scores
        if place < self._script.free:
            scores[:, self._never] = -torch.inf
            return scores
        chosen = torch.full_like(scores, -torch.inf)
        chosen[:, self._forced[place - self._script.free]] = 0
        return chosen


class Steering:
    """How the product's engine chooses tokens in tests: greedily, within scripts where there are any. Logs replies.

    Call k follows script k, or `of` says which script a conversation follows.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        scripts: Sequence[Script] | None = None,
        *,
        of: Callable[[Conversation], Script] | None = None,
    ) -> None:
        self._checkpoint, self._scripts, self._of = checkpoint, scripts, of
        self._forced: dict[Reply, Forced] = {}
        self.replies: list[Reply] = []
        self.together: list[int] = []  # of each step, how many replies took it

    @property
    def log(self) -> Log:
        """What was asked and said, in the order in which it began."""
        return Log([list(one.prompt.ids) for one in self.replies], [list(one.tokens) for one in self.replies])

    def __call__(self, replies: Sequence[Reply], scores: torch.Tensor) -> list[int]:
        self.together.append(len(replies))
        rows = zip(replies, scores.clone().unsqueeze(1), strict=True)
        return [int(self._of_reply(reply).steered(len(reply.tokens), row).argmax()) for reply, row in rows]

    def _of_reply(self, reply: Reply) -> Forced:
        if reply not in self._forced:
            script = self._scripts[len(self.replies)] if self._scripts is not None else None
            script = self._of(reply.conversation) if self._of is not None else script
            self._forced[reply] = Forced(self._checkpoint, script)
            self.replies.append(reply)
        return self._forced[reply]


@contextmanager
def watched(checkpoint: Checkpoint, scripts: Sequence[Script] | None = None) -> Iterator[Log]:
    """Log every generation of the library; with `scripts`, steer call k by script k."""
    model = checkpoint.model
    log, generate = Log(), model.generate

    def watch(*, input_ids: torch.Tensor, **inputs: object) -> torch.Tensor:
        length = input_ids.shape[1]
        script = scripts[len(log.prompts)] if scripts is not None else None
        inputs["logits_processor"] = LogitsProcessorList([Forced(checkpoint, script, length)])
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
