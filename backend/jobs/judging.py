"""The GPU worker's job: an order in, an outcome out. Needs Redis and the videos, no database."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from backend.errors import NoAnswerError, TaskError, VersionMismatchError
from backend.log import line
from backend.reasoning.judge import FrameSource
from backend.reasoning.swap import judge_in_both_orders
from backend.types import StopCondition
from backend.wire import Failure, Order, Outcome, from_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from backend.jobs.seats import Seats
    from backend.reasoning.contract import Contract
    from backend.reasoning.judge import Engine
    from backend.reasoning.swap import SwapMode
    from backend.types import Judgement, PairwiseTask

logger = logging.getLogger(__name__)


class Fetcher(Protocol):
    """Something that turns a video reference into a file."""

    def fetch(self, reference: str, task: int | None = None) -> AbstractContextManager[Path]:
        """The video as a file, for as long as the block lasts.

        Raises:
            MediaError: it cannot be had; `retryable` says whether it may be later.
        """
        ...


class OpenedPair(FrameSource, Protocol):
    """Two opened videos, until the block is left; knows how long it has decoded, in seconds."""

    seconds: float

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Judging:
    """Everything that judging needs, loaded once per process and shared by all its threads.

    `open_pair` opens two files on the contract's frame grid; `deliver` hands an outcome to the publisher. A judgement
    takes one of the `seats` when its videos are fetched and their first frames decoded, so that the model never waits
    for those.
    """

    engine: Engine
    fetcher: Fetcher
    open_pair: Callable[[Path, Path, Contract], OpenedPair]
    deliver: Callable[[Outcome], None]
    contract: Contract
    model_version: str
    force_answer: bool
    swap_check: SwapMode
    swap_threshold: float
    seats: Seats

    def judge(self, order: object) -> None:
        """Judge the task of an order (as JSON) and deliver the outcome, whatever it is.

        What is not a `TaskError` is raised, and the job becomes RQ's failed job: reconciling counts it as a try.

        Raises:
            QueueError: the outcome cannot be delivered; the order will be found and judged again.
        """
        wanted = from_json(Order, order)
        started = time.monotonic()
        try:
            outcome = Outcome(wanted, judgement=self._judged(wanted))
        except TaskError as error:
            outcome = Outcome(wanted, failure=Failure(error.reason, str(error), error.retryable))
        self.deliver(outcome)
        logger.info(_told(outcome, time.monotonic() - started))

    def _judged(self, order: Order) -> Judgement:
        if order.model_version != self.model_version:
            raise VersionMismatchError(
                f"The order is for {order.model_version}, this worker runs {self.model_version}. Start web and workers "
                "with the same model settings, or a worker with the old ones."
            )
        started = time.monotonic()
        with ExitStack() as opened:
            one, two = (opened.enter_context(video) for video in self._videos(order.task))
            fetched = time.monotonic()
            pair = opened.enter_context(self.open_pair(one, two, self.contract))
            ready = time.monotonic()
            opened.enter_context(self.seats)
            seated = time.monotonic()
            judgement = judge_in_both_orders(
                self.engine,
                pair,
                self.contract,
                order.task.prompt,
                model_version=self.model_version,
                mode=self.swap_check,
                threshold=self.swap_threshold,
                force_answer=self.force_answer,
            )
        if judgement.stop is not StopCondition.ANSWERED:
            raise NoAnswerError(_why_not(judgement))
        seconds = {
            "fetch": fetched - started,
            "decode": pair.seconds,
            "wait": seated - ready,
            "generate": _generated(judgement),
            "total": time.monotonic() - started,
        }
        return replace(judgement, seconds={**judgement.seconds, **seconds})

    def _videos(self, task: PairwiseTask) -> tuple[AbstractContextManager[Path], AbstractContextManager[Path]]:
        return self.fetcher.fetch(task.video1, task.task), self.fetcher.fetch(task.video2, task.task)


def _generated(judgement: Judgement) -> float:
    """Seconds that the model took for its replies, in both orders of the videos."""
    own = sum(turn.seconds for turn in judgement.turns)
    return own + (_generated(judgement.swapped) if judgement.swapped else 0.0)


def _why_not(judgement: Judgement) -> str:
    """What ended the conversation, with what was wrong with the last reply."""
    note = judgement.turns[-1].note if judgement.turns else ""
    said = f" The last reply: {note}" if note else ""
    return f"The model gave no usable answer in {len(judgement.turns)} turns ({judgement.stop.value}).{said}"


def _told(outcome: Outcome, seconds: float) -> str:
    order, judgement, failure = outcome.order, outcome.judgement, outcome.failure
    place = {"project": order.task.project, "task": order.task.task, "attempt": order.attempt, "seconds": seconds}
    if judgement is not None:
        labels = "".join(f"{dimension}{preference:d}" for dimension, preference in judgement.labels.items())
        return line("judged", **place, turns=len(judgement.turns), frames=len(judgement.frames), labels=labels)
    if failure is not None:
        return line("not judged", **place, reason=failure.reason, message=failure.message)
    return line("nothing came of it", **place)
