"""Several conversations at once when memory runs out, a step fails, or somebody stops waiting."""

from __future__ import annotations

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from backend.engines.local.cache import GROWTH, KeyValues
from backend.errors import EngineError
from backend.types import Completion, Message, Text
from tests.unit.engines.local.pictures import noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backend.engines.local.batch import Reply
    from backend.engines.local.engine import LocalEngine
    from backend.types import Conversation
    from tests.checkpoints import Checkpoint

QUESTIONS = tuple(
    (Message("system", (Text("Judge."),)), Message("user", (noise(seed), Text("which? " * seed))))
    for seed in range(1, 5)
)
TOKENS = 24
LONG_S = 60.0


def told(completion: Completion) -> tuple[Any, ...]:
    return (completion.text, completion.prompt_tokens, completion.completion_tokens, completion.truncated)


def alone(checkpoint: Checkpoint) -> list[tuple[Any, ...]]:
    return [told(checkpoint.engine().complete(question, max_new_tokens=TOKENS)) for question in QUESTIONS]


class Meeting:
    """Greedy, but a batch's first step waits until as many conversations as expected have come."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.widths: list[int] = []
        self.waiting: Callable[[], int] = lambda: 0

    def __call__(self, replies: Sequence[Reply], scores: torch.Tensor) -> list[int]:
        if not self.widths:
            deadline = threading.Event()
            for _ in range(600):
                if self.waiting() >= self._expected - 1:
                    break
                deadline.wait(0.1)
        self.widths.append(len(replies))
        chosen: list[int] = scores.argmax(-1).tolist()
        return chosen


def gathered(checkpoint: Checkpoint, expected: int = len(QUESTIONS)) -> tuple[LocalEngine, Meeting]:
    """An engine whose first reply goes on only when all the others wait."""
    meeting = Meeting(expected)
    engine = checkpoint.engine(batch=len(QUESTIONS), choose=meeting)
    meeting.waiting = lambda: len(engine._waiting)
    return engine, meeting


def ask_all(engine: LocalEngine, questions: Sequence[Conversation] = QUESTIONS) -> list[Completion | BaseException]:
    def ask(question: Conversation) -> Completion | BaseException:
        try:
            return engine.complete(question, max_new_tokens=TOKENS)
        except (EngineError, RuntimeError) as error:
            return error

    with ThreadPoolExecutor(len(questions)) as threads:
        return list(threads.map(ask, questions))


@contextmanager
def passes(checkpoint: Checkpoint, check: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Let `check` see the last layer's output, [rows, tokens, width], of each pass; it may raise."""
    layer = checkpoint.model.model.language_model.layers[-1]
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: check(output))
    try:
        yield
    finally:
        hook.remove()


def test_they_go_on_together(checkpoint: Checkpoint) -> None:
    engine, meeting = gathered(checkpoint)
    completions = ask_all(engine)
    assert [told(one) for one in completions if isinstance(one, Completion)] == alone(checkpoint)
    assert meeting.widths.count(4) == TOKENS - 1


@pytest.mark.parametrize(("most", "expected"), [(3, 2), (2, 2), (1, 1)])
def test_when_memory_runs_out_the_batch_halves_and_nobody_notices(
    most: int, expected: int, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    def check(output: torch.Tensor) -> None:
        if output.shape[0] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    engine, meeting = gathered(checkpoint)
    with passes(checkpoint, check):
        completions = ask_all(engine)
    assert [told(one) for one in completions if isinstance(one, Completion)] == alone(checkpoint)
    assert max(meeting.widths) == expected
    assert f"from_now_on={expected}" in caplog.text
    assert engine._places == expected


def test_a_conversation_too_large_by_itself_fails_and_the_others_do_not(checkpoint: Checkpoint) -> None:
    tries = []

    def check(output: torch.Tensor) -> None:
        if output.shape[1] > 200:
            tries.append(output.shape[1])
            raise torch.OutOfMemoryError("CUDA out of memory")

    huge = (*QUESTIONS[0], Message("user", (Text("and so on " * 200),)))
    engine = checkpoint.engine(batch=len(QUESTIONS))
    with passes(checkpoint, check):
        first, *others = ask_all(engine, [huge, *QUESTIONS[1:]])
    assert isinstance(first, EngineError)
    assert "Out of GPU memory in a conversation with 1 pictures" in str(first)
    assert [told(one) for one in others if isinstance(one, Completion)] == alone(checkpoint)[1:]
    assert 2 <= len(tries) <= 4, "with the others, then alone, then alone with all the memory"


def test_rows_that_nobody_uses_take_no_memory(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = KeyValues._grown

    def within_budget(self: KeyValues, *arguments: Any) -> torch.Tensor:  # noqa: ANN401  # handed on as they came
        tensor = grown(self, *arguments)
        if tensor.shape[0] * tensor.shape[2] > 3 * GROWTH:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tensor

    monkeypatch.setattr(KeyValues, "_grown", within_budget)
    long = (*QUESTIONS[0], Message("user", (Text("and so on " * (GROWTH // 3)),)))
    engine = checkpoint.engine(batch=len(QUESTIONS))
    (alone_in_it,) = ask_all(engine, [long])
    assert isinstance(alone_in_it, Completion)
    assert alone_in_it.prompt_tokens > GROWTH
    assert all(isinstance(one, Completion) for one in ask_all(engine, [long, *QUESTIONS[1:]]))


def test_a_step_that_fails_is_taken_again_by_each_alone(checkpoint: Checkpoint) -> None:
    asked: list[int] = []

    def check(output: torch.Tensor) -> None:
        asked.append(output.shape[0])
        if output.shape[0] > 1:
            raise RuntimeError("broken kernel")

    engine, _ = gathered(checkpoint)
    with passes(checkpoint, check):
        completions = ask_all(engine)
    assert [told(one) for one in completions if isinstance(one, Completion)] == alone(checkpoint)
    assert sum(rows > 1 for rows in asked) == 1
    assert all(told(one) for one in ask_all(engine) if isinstance(one, Completion)), "and later again together"


def test_whoever_breaks_a_step_is_told_and_nobody_else_is(checkpoint: Checkpoint) -> None:
    wrong = QUESTIONS[2]

    def choose(replies: Sequence[Reply], scores: torch.Tensor) -> list[int]:
        if any(reply.conversation is wrong and len(reply.tokens) == 5 for reply in replies):
            raise RuntimeError("nobody expected this")
        chosen: list[int] = scores.argmax(-1).tolist()
        return chosen

    completions = ask_all(checkpoint.engine(batch=4, choose=choose))
    assert str(completions[2]) == "nobody expected this"
    others = [told(one) for one in completions if isinstance(one, Completion)]
    assert others == [one for number, one in enumerate(alone(checkpoint)) if number != 2]


class StoppedWaitingError(Exception):
    """Raised in a thread from outside, as a time-out is."""


def test_a_call_that_is_broken_off_makes_room_and_disturbs_nobody(checkpoint: Checkpoint) -> None:
    begun, checked = threading.Event(), threading.Event()

    def choose(replies: Sequence[Reply], scores: torch.Tensor) -> list[int]:
        begun.set()
        assert checked.wait(LONG_S)
        chosen: list[int] = scores.argmax(-1).tolist()
        return chosen

    engine = checkpoint.engine(batch=2, choose=choose)
    raised: list[BaseException] = []

    def wait_in_vain() -> None:
        try:
            engine.complete(QUESTIONS[0], max_new_tokens=2000)
        except StoppedWaitingError as error:
            raised.append(error)

    thread = threading.Thread(target=wait_in_vain)
    thread.start()
    assert begun.wait(LONG_S)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(StoppedWaitingError))
    checked.set()
    completion = engine.complete(QUESTIONS[1], max_new_tokens=TOKENS)
    thread.join(LONG_S)
    assert len(raised) == 1
    assert told(completion) == alone(checkpoint)[1]
    assert engine._batch._replies == []


def test_no_thread_is_left_when_all_is_said(checkpoint: Checkpoint) -> None:
    ask_all(checkpoint.engine(batch=4))
    for thread in threading.enumerate():
        if thread.name == "engine":
            thread.join(LONG_S)
    assert "engine" not in {thread.name for thread in threading.enumerate()}


def test_a_conversation_s_row_is_not_taken_by_another_while_there_is_one_that_nobody_misses(
    checkpoint: Checkpoint,
) -> None:
    engine = checkpoint.engine(batch=2)
    kept, passing = noise(50), noise(51)
    question = (Message("user", (kept, Text("which?"))),)
    first = engine.complete(question, max_new_tokens=4)
    with ThreadPoolExecutor(1) as other:
        other.submit(engine.complete, (Message("user", (passing, Text("what?"))),), max_new_tokens=4).result()
    del passing
    with ThreadPoolExecutor(1) as third:
        third.submit(engine.complete, (Message("user", (noise(52), Text("who?"))),), max_new_tokens=4).result()
    again = engine.complete(question, max_new_tokens=4)
    assert again.cached_tokens == first.prompt_tokens - 1


def test_flash_attention_gets_no_masks_and_rows_of_different_lengths_go_to_torch(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, used = alone(checkpoint), []

    def flash(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        **options: Any,  # noqa: ANN401  # what the library passes on
    ) -> tuple[torch.Tensor, None]:
        """A test double: what the real one computes, the last new token looking at everything."""
        assert mask is None
        new, length = query.shape[2], key.shape[2]
        used.append(new)
        causal = torch.ones(new, length, dtype=torch.bool).tril(length - new)[None, None]
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, causal, **options)
        return output

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "flash_attention_2", flash)
    monkeypatch.setattr(checkpoint.model.config.get_text_config(), "_attn_implementation_internal", "flash_attention_2")
    engine, meeting = gathered(checkpoint)
    completions = ask_all(engine)
    assert [told(one) for one in completions if isinstance(one, Completion)] == expected
    assert meeting.widths.count(4) == TOKENS - 1
    assert min(used) > 1, "the rows are of different lengths at every step"
    used.clear()
    assert told(engine.complete(QUESTIONS[0], max_new_tokens=TOKENS)) == expected[0]
    assert used.count(1) == len(used) > TOKENS, "a single one needs no mask"
