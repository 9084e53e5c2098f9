"""The GPU worker's job: an order in, an outcome out."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from PIL import Image

from backend.errors import EngineUnavailableError, MediaUnavailableError, TaskError
from backend.jobs.judging import Judging
from backend.jobs.seats import Seats
from backend.reasoning.contract import contract_named
from backend.types import Clip, Completion, Dimension, Frame, Preference
from backend.wire import Failure, Order, Outcome, to_json
from backend.worker.judge import places_for
from tests.fakes import ScriptedEngine
from tests.integration.doubles import GreyVideos
from tests.unit.jobs.desk import VERSION, order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.reasoning.contract import Contract
    from backend.types import Conversation, FrameRef

ANSWER = "<Answer>TA=1, MQ=0, VQ=2, OA=1</Answer>"


@dataclass
class Videos:
    """A test double: every reference is a video, until `error` is set; knows which are in use."""

    error: TaskError | None = None
    in_use: set[str] = field(default_factory=set)

    @contextmanager
    def fetch(self, reference: str, task: int | None = None) -> Iterator[Path]:
        if self.error is not None:
            raise self.error
        self.in_use.add(reference)
        yield Path(reference)
        self.in_use.remove(reference)


class Pair:
    """A test double: two opened videos of grey frames, which must not be read once they were given back."""

    clips: Sequence[Clip] = (Clip(1, 16, 8.0, 4, 4), Clip(2, 16, 8.0, 4, 4))
    seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing to close."""

    def __init__(self, videos: Videos) -> None:
        self._videos = videos

    def frames(self, refs: Sequence[FrameRef]) -> Sequence[Frame]:
        assert self._videos.in_use == {"/a.mp4", "/b.mp4"}
        return [Frame(ref, ref.slot, ref.slot, 0.0, Image.new("RGB", (4, 4))) for ref in refs]


@dataclass
class Bench:
    """A `Judging` with doubles, and what it delivered."""

    engine: ScriptedEngine
    videos: Videos = field(default_factory=Videos)
    delivered: list[Outcome] = field(default_factory=list)

    def judge(self, wanted: Order) -> Outcome:
        def open_pair(_one: Path, _two: Path, _contract: Contract) -> Pair:
            return Pair(self.videos)

        judging = Judging(
            engine=self.engine,
            fetcher=self.videos,
            open_pair=open_pair,
            deliver=self.delivered.append,
            contract=contract_named("vrthinker-128"),
            model_version=VERSION,
            force_answer=False,
            swap_check="off",
            swap_threshold=0.0,
            seats=Seats(1),
        )
        judging.judge(to_json(wanted))
        return self.delivered[-1]


def test_an_order_becomes_a_judgement_that_says_what_it_took() -> None:
    bench = Bench(ScriptedEngine([ANSWER]))
    outcome = bench.judge(order())
    assert outcome.judgement is not None
    assert outcome.judgement.labels[Dimension.VQ] is Preference.VIDEO_2
    assert outcome.judgement.seconds.keys() == {"fetch", "decode", "wait", "generate", "total"}
    assert bench.videos.in_use == set(), "the files are given back"


def test_an_order_of_another_version_is_refused_without_asking_the_model() -> None:
    bench = Bench(ScriptedEngine([]))
    outcome = bench.judge(order(version="tiny-2"))
    assert outcome.failure is not None
    assert (outcome.failure.reason, outcome.failure.retryable) == ("version_mismatch", False)
    assert "tiny-2" in outcome.failure.message


@pytest.mark.parametrize(
    ("error", "retryable"), [(MediaUnavailableError("timed out"), True), (EngineUnavailableError("429"), True)]
)
def test_what_goes_wrong_with_one_task_is_delivered_with_its_reason(error: TaskError, retryable: bool) -> None:
    bench = Bench(ScriptedEngine([]), Videos(error))
    assert bench.judge(order()).failure == Failure(error.reason, str(error), retryable)


def test_a_conversation_without_an_answer_is_a_failure_that_says_why() -> None:
    bench = Bench(ScriptedEngine(["I would rather not."] * 6))
    failure = bench.judge(order()).failure
    assert failure is not None
    assert (failure.reason, failure.retryable) == ("no_answer", False)
    assert "6 turns (malformed)" in failure.message


def test_what_nobody_expected_is_raised_and_nothing_is_delivered() -> None:
    bench = Bench(ScriptedEngine([]))
    with pytest.raises(AssertionError, match="used up"):
        bench.judge(order())
    assert bench.delivered == []


SLOW_S = 0.2  # what fetching one of a pair's videos takes; the model takes longer than both together
MODEL_S = 0.5


class SlowVideos(Videos):
    """A test double: fetching takes a while."""

    @contextmanager
    def fetch(self, reference: str, task: int | None = None) -> Iterator[Path]:
        time.sleep(SLOW_S)
        yield Path(reference)


@dataclass
class TimedEngine:
    """A test double: answers after a while, and knows when it had something to do."""

    busy: list[tuple[float, float]] = field(default_factory=list)

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        started = time.monotonic()
        time.sleep(MODEL_S)
        self.busy.append((started, time.monotonic()))
        return Completion(ANSWER, 1, 1)

    def most_at_once(self) -> int:
        return max(sum(start <= moment < end for start, end in self.busy) for moment, _ in self.busy)

    def idle(self) -> float:
        """Seconds without any work between the first call and the last."""
        gaps, until = 0.0, min(self.busy)[0]
        for start, end in sorted(self.busy):
            gaps += max(0.0, start - until)
            until = max(until, end)
        return gaps


@pytest.mark.parametrize("batch", [1, 3])
def test_the_model_does_not_wait_for_videos(batch: int) -> None:
    engine, delivered = TimedEngine(), list[Outcome]()

    judging = Judging(
        engine=engine,
        fetcher=SlowVideos(),
        open_pair=GreyVideos,
        deliver=delivered.append,
        contract=contract_named("vrthinker-128"),
        model_version=VERSION,
        force_answer=False,
        swap_check="off",
        swap_threshold=0.0,
        seats=Seats(batch),
    )
    with ThreadPoolExecutor(places_for(batch)) as threads:
        list(threads.map(judging.judge, [to_json(order(task)) for task in range(1, 11)]))
    assert len(delivered) == 10
    assert engine.most_at_once() == batch
    assert engine.idle() < SLOW_S, f"fetching took {2 * SLOW_S * 10:.0f} s altogether"
    seconds = [outcome.judgement.seconds for outcome in delivered if outcome.judgement]
    assert sum(one["wait"] for one in seconds) > 0
