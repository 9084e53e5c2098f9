"""One reply at a time: what it reports, what it refuses, and what a failure leaves behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch

from backend.engines.local.engine import LocalEngine
from backend.errors import EngineError
from backend.types import Completion, Message, Text
from tests.parity.generation import Script, Steering
from tests.unit.engines.local.pictures import noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.checkpoints import Checkpoint

FRAME = noise(1)
QUESTION = (Message("system", (Text("Judge."),)), Message("user", (FRAME, Text("which?"))))


@pytest.fixture
def engine(checkpoint: Checkpoint) -> LocalEngine:
    return checkpoint.engine()


def said(engine: LocalEngine, words: str) -> Completion:
    return engine.complete(
        (*QUESTION, Message("assistant", (Text(words),)), Message("user", (Text("so?"),))), max_new_tokens=12
    )


def without_times(completion: Completion) -> tuple[Any, ...]:
    return (completion.text, completion.prompt_tokens, completion.completion_tokens, completion.truncated)


def test_a_completion_counts_its_tokens(engine: LocalEngine) -> None:
    completion = engine.complete(QUESTION, max_new_tokens=7)
    assert completion.completion_tokens == 7
    assert completion.truncated
    assert completion.cached_tokens == 0
    assert completion.prompt_tokens == len(engine._batch._rows[0]) - 6, "the last token is never read"
    assert completion.seconds > 0


def test_a_reply_that_ends_by_itself_is_not_truncated(checkpoint: Checkpoint) -> None:
    engine = checkpoint.engine(choose=Steering(checkpoint, [Script(3, "TA=1")] * 2))
    whole = engine.complete(QUESTION, max_new_tokens=50)
    cut = engine.complete(QUESTION, max_new_tokens=whole.completion_tokens - 1)
    assert (whole.text, whole.truncated) == (cut.text, False)
    assert cut.truncated
    assert whole.text.endswith("TA=1")


def test_odds_stand_where_the_digit_is(checkpoint: Checkpoint) -> None:
    scripts = [Script(3, "<Answer>TA=1, MQ=2, VQ=0, OA=1</Answer>")]
    completion = checkpoint.engine(choose=Steering(checkpoint, scripts)).complete(QUESTION, max_new_tokens=50)
    assert [completion.text[digit.offset] for digit in completion.digits] == ["1", "2", "0", "1"]
    assert all(sum(digit.odds) == pytest.approx(1) and 0 < digit.mass < 1 for digit in completion.digits)


def test_asking_again_gives_the_same_reply_from_the_cache(engine: LocalEngine) -> None:
    first, again = (engine.complete(QUESTION, max_new_tokens=12) for _ in range(2))
    assert without_times(first) == without_times(again)
    assert again.cached_tokens == first.prompt_tokens - 1


def test_any_conversation_may_follow_any_other(engine: LocalEngine, checkpoint: Checkpoint) -> None:
    words = ("one", "another much longer thing", "one", "日本", "another")
    fresh = [said(checkpoint.engine(), word) for word in words]
    assert [without_times(said(engine, word)) for word in words] == [without_times(one) for one in fresh]


def test_threads_take_turns(engine: LocalEngine) -> None:
    words = [f"thought {number}" for number in range(6)]
    alone = [without_times(said(engine, word)) for word in words]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda word: without_times(said(engine, word)), words))
    assert together == alone


def test_a_conversation_beyond_the_context_is_refused_with_both_numbers(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._batch, "_context", 20)
    with torch.inference_mode():
        length = len(engine._batch._prompter.prompt(QUESTION, engine._batch._gallery.show([FRAME])).ids)
    with pytest.raises(EngineError, match=f"has {length} tokens, but the model reads at most 20"):
        engine.complete(QUESTION, max_new_tokens=5)


def test_a_reply_never_grows_beyond_the_context(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    length = engine.complete(QUESTION, max_new_tokens=1).prompt_tokens
    monkeypatch.setattr(engine._batch, "_context", length + 4)
    completion = engine.complete(QUESTION, max_new_tokens=50)
    assert completion.completion_tokens == 4
    assert completion.truncated


def test_pictures_smuggled_into_the_text_are_refused(engine: LocalEngine) -> None:
    with pytest.raises(EngineError, match="1 pictures but 2 places"):
        engine.complete((Message("user", (FRAME, Text("<|image_pad|>"))),), max_new_tokens=5)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(torch.OutOfMemoryError("CUDA out of memory"), EngineError), (RuntimeError("broken kernel"), RuntimeError)],
)
def test_after_a_failure_the_next_reply_is_right(
    failure: Exception, expected: type[Exception], engine: LocalEngine, checkpoint: Checkpoint
) -> None:
    before = engine.complete(QUESTION, max_new_tokens=12)

    times = 2 if isinstance(failure, torch.OutOfMemoryError) else 1
    with failing(checkpoint, failure, times), pytest.raises(expected):
        said(engine, "something else")
    after = engine.complete(QUESTION, max_new_tokens=12)
    assert without_times(after) == without_times(before)
    assert after.cached_tokens == 0


def test_out_of_memory_says_what_to_do(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine._batch, "_read", burst)
    with pytest.raises(EngineError, match=r"conversation with 1 pictures.*QUANTIZATION") as raised:
        engine.complete(QUESTION, max_new_tokens=5)
    assert not raised.value.retryable


def test_out_of_memory_is_tried_once_more_with_an_emptied_cache(engine: LocalEngine, checkpoint: Checkpoint) -> None:
    expected = engine.complete(QUESTION, max_new_tokens=12)
    with failing(checkpoint, torch.OutOfMemoryError("CUDA out of memory"), times=1):
        again = engine.complete(QUESTION, max_new_tokens=12)
    assert without_times(again) == without_times(expected)
    assert again.cached_tokens == 0


@contextmanager
def failing(checkpoint: Checkpoint, failure: Exception, times: int) -> Iterator[None]:
    """Let so many passes through the last layer fail; more passes than failures must come."""
    left = [failure] * times

    def fail(*_: object) -> None:
        if left:
            raise left.pop()

    hook = checkpoint.model.model.language_model.layers[-1].register_forward_hook(fail)
    yield
    hook.remove()
    assert not left, "nothing came to fail"


def test_a_thread_that_cannot_start_leaves_nobody_waiting(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            engine.complete(QUESTION, max_new_tokens=1)
    assert engine.complete(QUESTION, max_new_tokens=1).completion_tokens == 1
