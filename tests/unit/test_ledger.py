"""The ledger remembers every task once, and never forgets or doubles work."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import Pool
from sqlalchemy.schema import CreateTable

from backend.errors import (
    JobCrashedError,
    LabelStudioError,
    LabelStudioUnavailableError,
    LedgerError,
    MediaError,
    TaskDataError,
)
from backend.ledger import Annotation, ExportState, Key, Ledger, Project, State, Sync
from backend.ledger.delivery import LEASE
from backend.ledger.schema import judgement, work
from backend.ledger.work import ENQUEUE_GRACE, LONGEST_PAUSE, is_blind, pause_after
from backend.types import Dimension, Judgement, PairwiseTask, Preference, StopCondition, Turn, Verdict
from backend.wire import Failure, Order, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.ledger import Claim

VERSION = "tiny-1.contract.engine"
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class SteppedClock:
    """A test double: a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str, clock: SteppedClock) -> Iterator[Ledger]:
    opened = Ledger.open(url, clock=clock)
    yield opened
    opened.close()


def pair(task: int, project: int = 1) -> PairwiseTask:
    return PairwiseTask(project, task, f"/a{task}.mp4", f"/b{task}.mp4", "a dog runs", (24.0, 29.97))


def judged(task: int = 1, attempt: int = 1, reasoning: str = "seen") -> Outcome:
    verdicts = {dimension: Verdict(Preference.VIDEO_1) for dimension in Dimension}
    verdict = Judgement(VERSION, verdicts, reasoning, StopCondition.ANSWERED, False, (), (), ())
    return Outcome(Order(pair(task), VERSION, attempt), judgement=verdict)


def failed(task: int = 1, attempt: int = 1, *, retryable: bool, reason: str = "media") -> Outcome:
    return Outcome(Order(pair(task), VERSION, attempt), failure=Failure(reason, "no such video", retryable))


def key(task: int = 1) -> Key:
    return Key(1, task, VERSION)


def state_of(ledger: Ledger, task: int = 1) -> State:
    entry = ledger.entry(key(task))
    assert entry is not None
    return entry.state


def test_entering_returns_just_the_new_tasks_in_the_order_given(ledger: Ledger) -> None:
    assert ledger.enter([pair(3), pair(1)], VERSION) == [pair(3), pair(1)]
    assert ledger.enter([pair(2), pair(1), pair(2)], VERSION) == [pair(2)]
    assert ledger.enter([pair(1)], "another version") == [pair(1)]
    assert ledger.counts(1, VERSION)[State.QUEUED] == 3
    assert ledger.counts(1)[State.QUEUED] == 4


def test_more_tasks_than_one_statement_takes_are_all_entered(ledger: Ledger) -> None:
    tasks = [pair(task) for task in range(1, 1702)]
    assert ledger.enter(tasks, VERSION) == tasks
    assert len(ledger.due()) == 0, "whoever entered them is still expected to enqueue them"


def _enter_the_same(url: str, answers: multiprocessing.Queue[int]) -> None:
    ledger = Ledger.open(url)
    answers.put(len(ledger.enter([pair(task) for task in range(1, 301)], VERSION)))


def test_three_processes_entering_the_same_tasks_at_once_share_out_each_row_once(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[int] = context.Queue()
    processes = [context.Process(target=_enter_the_same, args=(url, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    counts = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert sum(counts) == 300
    ledger = Ledger.open(url)
    assert ledger.counts(1)[State.QUEUED] == 300
    ledger.close()


def test_a_new_ledger_that_another_process_is_just_making_is_waited_for(url: str) -> None:
    """SQLite would refuse the change to write-ahead logging at once, and not wait as it does elsewhere."""
    other = sqlite3.connect(make_url(url).database or "", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE theirs (id)")
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    ledger = Ledger.open(url)
    assert ledger.projects() == []
    ledger.close()
    other.close()


def test_a_rejected_task_is_failed_with_its_reason_and_never_due(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.reject_all([(1, 7, TaskDataError("task 7 has no prompt"))], VERSION)
    clock.move(timedelta(hours=1))
    assert ledger.due() == []
    [group] = ledger.failures(1)
    assert (group.reason, group.count, group.message, group.tasks) == ("task_data", 1, "task 7 has no prompt", [7])


def test_rejecting_does_not_touch_a_row_that_is_there(ledger: Ledger) -> None:
    ledger.enter([pair(1)], VERSION)
    ledger.reject_all([(1, 1, TaskDataError("no prompt"))], VERSION)
    assert state_of(ledger) is State.QUEUED


def test_a_corrected_task_counts_as_new(ledger: Ledger) -> None:
    ledger.reject_all([(1, 1, TaskDataError("no prompt"))], VERSION)
    assert ledger.enter([pair(1)], VERSION) == [pair(1)]
    assert state_of(ledger) is State.QUEUED
    ledger.record(failed(retryable=False))
    assert ledger.enter([pair(1)], VERSION) == [], "the same task failed for good"
    assert ledger.enter([replace(pair(1), video1="/better.mp4")], VERSION) != []


NEW = replace(pair(1), video1="/new.mp4")


def reach(ledger: Ledger, state: State) -> None:
    """Bring task 1 into a state."""
    ledger.enter([pair(1)], VERSION)
    if state in (State.JUDGED, State.PUBLISHED):
        ledger.record(judged())
    if state is State.PUBLISHED:
        ledger.mark_all_published({key(): 42})
    if state is State.FAILED:
        ledger.record(failed(retryable=False))
    if state is State.SKIPPED:
        ledger.cancel(1)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("new", [NEW, replace(pair(1), video2="/new.mp4"), replace(pair(1), prompt="a cat runs")])
def test_another_task_under_a_known_id_is_judged_itself(ledger: Ledger, state: State, new: PairwiseTask) -> None:
    reach(ledger, state)
    assert ledger.enter([new], VERSION, again=False) == [new]
    entry = ledger.entry(key())
    assert entry is not None
    assert (entry.task, entry.state, entry.prediction_id, entry.judged_at) == (new, State.QUEUED, None, None)
    assert ledger.judgement(key()) is None
    assert ledger.enter([new], VERSION) == []


def test_what_came_of_the_old_videos_is_not_taken_for_the_new_ones(ledger: Ledger) -> None:
    reach(ledger, State.JUDGED)
    ledger.enter([NEW], VERSION)
    assert ledger.record(judged()) is State.QUEUED
    assert ledger.record(failed(retryable=False)) is State.QUEUED
    ledger.mark_all_published({key(): 42})  # a publisher was at it
    assert state_of(ledger) is State.QUEUED
    assert ledger.orders([key()]) == [Order(NEW, VERSION)]
    assert ledger.record(replace(judged(), order=Order(NEW, VERSION))) is State.JUDGED


def test_it_is_noted_once_when_a_task_was_found_changed(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.reject_all([(1, 1, TaskDataError("no prompt"))], VERSION)
    ledger.enter([pair(1), pair(2)], VERSION)
    ledger.enter([pair(1)], "another-1")
    assert ledger.data_changes(1) == {}
    clock.move(timedelta(minutes=1))
    for version in ("another-1", VERSION, "another-1", "third-1"):
        ledger.enter([NEW, pair(2)], version)
    assert ledger.data_changes(1) == {1: [clock.now]}
    clock.move(timedelta(minutes=1))
    ledger.enter([pair(1)], VERSION)
    assert ledger.data_changes(1, [1, 2]) == {1: [START + timedelta(minutes=1), clock.now]}
    assert ledger.data_changes(1, [2]) == {}


def test_answers_to_a_task_that_is_judged_anew_are_compared_anew(ledger: Ledger) -> None:
    reach(ledger, State.PUBLISHED)
    ledger.remember_annotation(replace(note(1), task=1))
    with ledger.comparing(10):
        pass
    ledger.enter([pair(1)], VERSION)
    assert ledger.uncompared() == 0
    ledger.enter([NEW], VERSION)
    assert ledger.uncompared() == 1


@pytest.mark.parametrize("reason", ["task_deleted", "label_studio_not_found"])
@pytest.mark.parametrize("again", [True, False])
def test_a_task_that_was_gone_and_is_back_is_judged_when_it_is_asked_for(
    ledger: Ledger, reason: str, again: bool
) -> None:
    ledger.record(judged())
    ledger.skip(1, [1], reason, "gone")
    assert ledger.enter([pair(1)], VERSION, again=again) == [pair(1)]


@pytest.mark.parametrize("reason", ["task_deleted", "label_studio_not_found"])
def test_a_retry_looks_once_more_for_tasks_that_were_gone_and_keeps_their_judgements(
    ledger: Ledger, reason: str
) -> None:
    ledger.record(judged())
    ledger.skip(1, [1], reason, "gone")
    assert ledger.requeue(1) == 1
    assert ledger.unpublished() == [key()]


def test_a_judgement_counts_once(ledger: Ledger) -> None:
    ledger.enter([pair(1)], VERSION)
    assert ledger.record(judged(reasoning="first")) is State.JUDGED
    assert ledger.record(judged(reasoning="second")) is State.JUDGED
    ledger.mark_all_published({key(): 42})
    assert ledger.record(judged(reasoning="third")) is State.PUBLISHED
    kept = ledger.judgement(key())
    assert kept == judged(reasoning="first").judgement


def test_a_failure_after_the_judgement_changes_nothing(ledger: Ledger) -> None:
    ledger.enter([pair(1)], VERSION)
    ledger.record(judged())
    assert ledger.record(failed(attempt=2, retryable=False)) is State.JUDGED


def test_a_judgement_that_comes_after_all_beats_a_failure(ledger: Ledger) -> None:
    ledger.enter([pair(1)], VERSION)
    assert ledger.record(failed(retryable=False, reason="worker_lost")) is State.FAILED
    assert ledger.record(judged()) is State.JUDGED
    entry = ledger.entry(key())
    assert entry is not None
    assert (entry.reason, entry.message) == ("", "")


def test_an_outcome_without_a_row_is_kept(ledger: Ledger) -> None:
    assert ledger.record(judged(5)) is State.JUDGED
    assert ledger.unpublished() == [key(5)]


def test_a_retryable_failure_is_due_again_after_a_pause_until_the_tries_are_used_up(
    ledger: Ledger, clock: SteppedClock
) -> None:
    ledger.enter([pair(1)], VERSION)
    for attempt in (1, 2):
        assert ledger.record(failed(attempt=attempt, retryable=True)) is State.QUEUED
        assert ledger.due() == []
        clock.move(pause_after(attempt))
        assert ledger.due() == [key()]
        assert ledger.orders([key()]) == [Order(pair(1), VERSION, attempt + 1)]
    assert ledger.record(failed(attempt=3, retryable=True)) is State.FAILED
    assert ledger.orders([key()]) == []
    [group] = ledger.failures(1, VERSION)
    assert group.message == "no such video"


def test_a_task_whose_worker_died_is_due_at_once(ledger: Ledger) -> None:
    ledger.enter([pair(1)], VERSION)
    assert ledger.record(failed(retryable=True, reason="worker_lost")) is State.QUEUED
    assert ledger.due() == [key()]


def test_the_same_failure_told_twice_is_one_attempt(ledger: Ledger) -> None:
    ledger.enter([pair(1)], VERSION)
    ledger.record(failed(attempt=1, retryable=True))
    ledger.record(failed(attempt=1, retryable=True))
    entry = ledger.entry(key())
    assert entry is not None
    assert entry.attempts == 1


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 10), (1, 10), (2, 20), (3, 40), (7, LONGEST_PAUSE.total_seconds()), (10**6, 600)]
)
def test_the_pause_doubles_up_to_ten_minutes(attempts: int, seconds: float) -> None:
    assert pause_after(attempts).total_seconds() == seconds


def test_an_entered_task_that_nobody_enqueued_becomes_due(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.enter([pair(1)], VERSION)
    assert ledger.due() == []
    clock.move(ENQUEUE_GRACE)
    assert ledger.due() == [key()]


def test_two_publishers_never_hold_the_same_judgement(url: str, ledger: Ledger) -> None:
    tasks = [pair(task) for task in range(1, 41)]
    ledger.enter(tasks, VERSION)
    for task in tasks:
        ledger.record(judged(task.task))
    taken: list[Key] = []

    def publisher() -> None:
        mine = Ledger.open(url, clock=lambda: START)
        for wanted in ledger.unpublished():
            taken.extend(claim.key for claim in mine.claim_for_publishing([wanted]))
        mine.close()

    threads = [threading.Thread(target=publisher) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [key(task.task) for task in tasks]


def test_a_lease_runs_out_and_the_slow_holder_cannot_renew_it(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.record(judged())
    [slow] = ledger.claim_for_publishing([key()])
    assert (slow.task, slow.judgement) == (pair(1), judged().judgement)
    assert ledger.claim_for_publishing([key()]) == []
    assert ledger.renew([slow]) == [slow]
    clock.move(timedelta(minutes=10))
    [quick] = ledger.claim_for_publishing([key()])
    assert ledger.renew([slow, quick]) == [quick]


def test_the_rows_of_a_publisher_that_died_are_released_together(ledger: Ledger, clock: SteppedClock) -> None:
    for task in (1, 2, 3):
        ledger.record(judged(task))
    ledger.claim_for_publishing([key(1), key(2)], "dead")
    ledger.claim_for_publishing([key(3)], "deadlier")
    assert ledger.holders() == {"dead", "deadlier"}
    assert ledger.release("dead") == 2
    assert ledger.unpublished() == []  # Label Studio may still be busy with what the dead one sent
    clock.move(pause_after(1))
    assert sorted(ledger.unpublished()) == [key(1), key(2)]
    assert ledger.holders() == {"deadlier"}


NO_ANSWER = LabelStudioUnavailableError("no answer within 60 s")
SLOW_ENDS: list[Callable[[Ledger, Claim], None]] = [
    lambda ledger, slow: ledger.postpone([slow], NO_ANSWER),
    lambda ledger, slow: ledger.give_up(slow, LabelStudioError("no such dimension")),
    lambda ledger, slow: ledger.hide(slow),
    lambda ledger, slow: ledger.end_write_back(slow.key, "slow", JobCrashedError("KeyError: 'id'")),
]


@pytest.mark.parametrize("end", SLOW_ENDS)
def test_a_publisher_whose_lease_ran_out_ends_no_lease_of_the_next(
    ledger: Ledger, clock: SteppedClock, end: Callable[[Ledger, Claim], None]
) -> None:
    ledger.record(judged())
    [slow] = ledger.claim_for_publishing([key()], "slow")
    clock.move(LEASE + timedelta(seconds=1))
    [quick] = ledger.claim_for_publishing([key()], "quick")
    before = ledger.entry(key())
    end(ledger, slow)
    assert ledger.entry(key()) == before
    assert ledger.renew([quick]) == [quick]
    clock.move(pause_after(1))
    assert ledger.claim_for_publishing([key()]) == [], "the quick one may be posting now"


@pytest.mark.parametrize("end", SLOW_ENDS)
def test_a_publisher_whose_lease_ran_out_may_still_say_what_came_of_it_where_nobody_took_over(
    ledger: Ledger, clock: SteppedClock, end: Callable[[Ledger, Claim], None]
) -> None:
    ledger.record(judged())
    [slow] = ledger.claim_for_publishing([key()], "slow")
    clock.move(LEASE + timedelta(seconds=1))
    end(ledger, slow)
    assert ledger.unpublished() == []
    assert ledger.holders() == set()


def test_the_first_published_prediction_stays(ledger: Ledger) -> None:
    ledger.record(judged())
    ledger.mark_all_published({key(): 42})
    ledger.mark_all_published({key(): 43})
    entry = ledger.entry(key())
    assert entry is not None
    assert (entry.state, entry.prediction_id, entry.published_at) == (State.PUBLISHED, 42, START)


def test_write_back_that_cannot_pass_now_stays_judged_with_the_reason(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.record(judged())
    for attempts in range(1, 6):
        assert ledger.unpublished() == [key()]
        ledger.postpone(ledger.claim_for_publishing([key()]), LabelStudioUnavailableError("connection refused"))
        assert ledger.unpublished() == []
        clock.move(pause_after(attempts))
    entry = ledger.entry(key())
    assert entry is not None
    assert (entry.state, entry.reason) == (State.JUDGED, "label_studio_unavailable")


def test_write_back_that_can_never_pass_fails_and_can_be_requeued_without_judging_again(ledger: Ledger) -> None:
    ledger.enter([pair(2)], VERSION)
    ledger.record(judged(1))
    ledger.record(failed(2, retryable=False))
    [claim] = ledger.claim_for_publishing([key(1)])
    ledger.give_up(claim, LabelStudioError("the config has no dimension MQ any more"))
    assert {group.reason for group in ledger.failures(1)} == {"label_studio", "media"}
    assert ledger.requeue(1, reasons=["media"]) == 1
    assert ledger.requeue(1) == 1
    assert (state_of(ledger, 1), state_of(ledger, 2)) == (State.JUDGED, State.QUEUED)
    assert ledger.due() == [key(2)]


def test_requeueing_leaves_tasks_without_usable_data(ledger: Ledger) -> None:
    ledger.reject_all([(1, 1, TaskDataError("no prompt"))], VERSION)
    assert ledger.requeue(1) == 0


def test_a_deleted_task_is_skipped_and_a_published_one_stays(ledger: Ledger) -> None:
    ledger.enter([pair(1)], VERSION)
    ledger.record(judged(2))
    ledger.record(judged(3))
    ledger.mark_all_published({key(3): 42})
    assert ledger.skip(1, [1, 2, 3], "task_deleted", "gone") == 2
    assert ledger.counts(1) == {
        State.QUEUED: 0,
        State.JUDGED: 0,
        State.PUBLISHED: 1,
        State.FAILED: 0,
        State.SKIPPED: 2,
    }
    assert ledger.record(judged(1)) is State.SKIPPED


def test_a_prediction_that_vanished_is_published_again(ledger: Ledger) -> None:
    ledger.record(judged())
    ledger.mark_all_published({key(): 42})
    assert ledger.reopen(1, [1], VERSION) == 1
    assert ledger.unpublished() == [key()]


def test_a_prediction_that_is_published_again_was_on_the_screen_since_the_first_time(
    ledger: Ledger, clock: SteppedClock
) -> None:
    ledger.record(judged())
    ledger.mark_all_published({key(): 42})
    before = ledger.entry(key())
    clock.move(timedelta(hours=1))
    ledger.reopen(1, [1], VERSION)
    ledger.mark_all_published({key(): 43})
    after = ledger.entry(key())
    assert before is not None
    assert after is not None
    assert (after.prediction_id, after.published_at) == (43, before.published_at)
    assert before.published_at is not None


def test_what_is_tried_again_is_told_apart_from_what_failed(ledger: Ledger) -> None:
    for task in (1, 2, 3, 4):
        ledger.enter([pair(task)], VERSION)
    ledger.record(Outcome(Order(pair(1), VERSION), failure=Failure("media_unavailable", "It answers 503.", True)))
    ledger.record(judged(2))
    ledger.record(judged(3))
    claims = ledger.claim_for_publishing([key(2), key(3)])
    ledger.postpone(claims, LabelStudioUnavailableError("It restarts."))
    told = {group.reason: (group.count, group.message, list(group.tasks)) for group in ledger.delays(1, VERSION)}
    assert told == {
        "label_studio_unavailable": (2, "It restarts.", [2, 3]),
        "media_unavailable": (1, "It answers 503.", [1]),
    }
    assert ledger.failures(1) == []
    assert ledger.delays(1, "another") == ledger.delays(2) == []
    ledger.mark_all_published({key(2): 42, key(3): 43})
    assert [group.reason for group in ledger.delays(1)] == ["media_unavailable"]


def test_failures_are_told_over_one_connection(ledger: Ledger) -> None:
    for task in (1, 2):
        ledger.reject_all([(1, task, MediaError(f"video {task} is gone"))], VERSION)
    held: list[int] = [0]

    def taken(*_told: object) -> None:
        held.append(held[-1] + 1)

    def returned(*_told: object) -> None:
        held.append(held[-1] - 1)

    event.listen(Pool, "checkout", taken)
    event.listen(Pool, "checkin", returned)
    try:
        [group] = ledger.failures(1)
    finally:
        event.remove(Pool, "checkout", taken)
        event.remove(Pool, "checkin", returned)
    assert (group.count, group.message, list(group.tasks)) == (2, "video 2 is gone", [1, 2])
    assert max(held) == 1, "whoever holds one and waits for another may wait for ever"


def test_a_forgotten_project_can_be_done_anew(ledger: Ledger) -> None:
    ledger.record(judged())
    ledger.forget(1)
    assert ledger.judgement(key()) is None
    assert ledger.enter([pair(1)], VERSION) == [pair(1)]


def test_the_blind_slice_is_judged_but_never_published(url: str) -> None:
    ledger = Ledger.open(url, blind_share=1.0)
    ledger.enter([pair(1)], VERSION)
    ledger.record(judged())
    assert ledger.unpublished() == []
    assert ledger.claim_for_publishing([key()]) == []
    [version] = ledger.versions()
    assert (version.states[State.JUDGED], version.blind) == (1, 1)
    ledger.close()


def test_a_hidden_judgement_is_never_published(ledger: Ledger) -> None:
    ledger.record(judged())
    ledger.hide(*ledger.claim_for_publishing([key()]))
    assert ledger.unpublished() == []
    assert state_of(ledger) is State.JUDGED


def test_the_blind_slice_is_stable_nested_and_of_the_share_asked_for() -> None:
    tasks = range(4000)
    small = {task for task in tasks if is_blind(1, task, 0.1)}
    large = {task for task in tasks if is_blind(1, task, 0.3)}
    assert small < large
    assert 0.08 < len(small) / 4000 < 0.12
    assert not any(is_blind(1, task, 0.0) for task in tasks)


def test_the_rate_is_of_the_last_five_minutes(ledger: Ledger, clock: SteppedClock) -> None:
    assert ledger.rate(1) == 0.0
    ledger.record(judged(1))
    clock.move(timedelta(minutes=6))
    for task in range(2, 12):
        ledger.record(judged(task))
        clock.move(timedelta(seconds=2))
    assert ledger.rate(1) == pytest.approx(0.5)


def test_a_project_is_kept_as_last_seen(ledger: Ledger) -> None:
    assert ledger.project(1) is None
    ledger.remember_project(Project(1, "Dogs", "<View/>"))
    ledger.remember_project(Project(1, "Cats", "<View></View>"))
    assert ledger.project(1) == Project(1, "Cats", "<View></View>")
    assert ledger.projects() == [Project(1, "Cats", "<View></View>")]


def test_a_message_that_no_database_takes_is_cleaned_and_cut(ledger: Ledger) -> None:
    ledger.reject_all([(1, 1, TaskDataError("\0bad \ud800" + "x" * 9000))], VERSION)
    [group] = ledger.failures(1)
    assert group.message.startswith("bad ?x")
    assert len(group.message) == 2000


def test_a_judgement_holds_no_character_that_a_database_refuses_to_look_into(ledger: Ledger) -> None:
    turn = Turn("TA\0=1 \ud83d", "answer", "", (), False, 1, 0, 1, 0.1)
    outcome = judged(reasoning="half a smile \ud83d, and \0 \u00e9 \U0001f600")
    assert outcome.judgement is not None
    ledger.record(replace(outcome, judgement=replace(outcome.judgement, turns=(turn,))))
    kept = ledger.judgement(key())
    assert kept is not None
    assert (kept.reasoning, kept.turns[0].reply) == ("half a smile ?, and ? \u00e9 \U0001f600", "TA?=1 ?")


def test_one_project_at_a_time_is_due_for_a_sync(ledger: Ledger, clock: SteppedClock) -> None:
    minute = timedelta(minutes=1)
    assert ledger.begin_sync(minute) is None
    ledger.remember_project(Project(1, "Dogs", "<View/>"))
    assert ledger.begin_sync(minute) == Sync(1, None)
    assert ledger.begin_sync(minute) is None, "someone else is at it"
    clock.move(minute)
    assert ledger.begin_sync(minute) == Sync(1, None), "whoever was at it has died"
    ledger.end_sync(1, START, 2 * minute)
    ledger.remember_project(Project(1, "Cats", "<View/>"))
    assert ledger.begin_sync(minute) is None
    clock.move(2 * minute)
    assert ledger.begin_sync(minute) == Sync(1, START)


def note(number: int, minute: int = 0, **changes: object) -> Annotation:
    seen = START + timedelta(minutes=minute)
    plain = Annotation(number, 1, 10 + number, 3, [{"type": "choices"}], 42, False, 12.5, START, seen, "webhook")
    return replace(plain, **changes)  # type: ignore[arg-type]  # the names are fields of Annotation


def test_annotations_that_arrive_late_do_not_overwrite_newer_ones(ledger: Ledger) -> None:
    ledger.remember_annotation(note(1, minute=5, lead_time=2.0), note(1, minute=1), note(2))
    ledger.remember_annotation(note(1, minute=3))
    assert [one.lead_time for one in ledger.annotations(1)] == [2.0, 12.5]
    assert list(ledger.annotations(1, tasks=[12])) == [note(2)]


def test_what_an_answer_was_made_from_stays_known_when_its_prediction_is_deleted(ledger: Ledger) -> None:
    ledger.remember_annotation(note(1, lead_time=None))
    ledger.remember_annotation(note(1, lead_time=None, parent_prediction=None, origin="sync"))
    [kept] = ledger.annotations(1)
    assert (kept.parent_prediction, kept.bulk, kept.origin) == (42, True, "sync")
    ledger.remember_annotation(note(1, parent_prediction=43, minute=1))
    assert [one.parent_prediction for one in ledger.annotations(1)] == [43]


def test_only_a_sync_brings_a_deleted_annotation_back(ledger: Ledger) -> None:
    ledger.remember_annotation(note(1))
    assert ledger.mark_annotations_deleted([1, 99]) == 1
    ledger.remember_annotation(note(1, minute=1))
    assert ledger.annotation_ids(1) == set()
    ledger.remember_annotation(note(1, minute=1, origin="sync"))
    assert ledger.annotation_ids(1) == {1}


def test_postgresql_has_room_for_rows_that_are_entered_again_and_again() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy types it not yet
    assert "id BIGSERIAL" in str(CreateTable(work).compile(dialect=dialect))
    assert "work_id BIGINT" in str(CreateTable(judgement).compile(dialect=dialect))


def test_a_database_of_another_schema_version_is_refused(url: str, ledger: Ledger) -> None:
    engine = create_engine(url)
    with engine.begin() as db:
        db.execute(text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(LedgerError, match="version 99"):
        Ledger.open(url)


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:secret@h/db", "sqlite:////no/such/folder/ledger.db"])
def test_a_database_that_cannot_be_used_is_named_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open(url)
    assert "secret" not in str(caught.value)


def test_a_naive_time_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="time zone"):
        ledger.remember_annotation(note(1, created_at=datetime(2026, 1, 1)))  # noqa: DTZ001  # the point of the test


def test_every_versions_verdicts_on_a_task_come_without_the_conversation(ledger: Ledger) -> None:
    for task in (2, 1):
        ledger.record(judged(task))
    ledger.mark_all_published({key(1): 42})
    found = list(ledger.judged(1))
    assert [(one.task, one.model_version, one.prediction_id, one.shown) for one in found] == [
        (pair(1), VERSION, 42, True),
        (pair(2), VERSION, None, True),
    ]
    assert found[0].verdicts == {dimension: Verdict(Preference.VIDEO_1) for dimension in Dimension}
    assert list(ledger.judged(2)) == []


def test_an_export_is_asked_for_once_until_it_has_ended(ledger: Ledger) -> None:
    assert [ledger.ask_for_export(7), ledger.ask_for_export(7), ledger.ask_for_export(8)] == [True, False, True]
    first, second = ledger.begin_export(), ledger.begin_export()
    assert first is not None
    assert second is not None
    assert {first.project, second.project} == {7, 8}
    assert ledger.begin_export() is None
    assert not ledger.ask_for_export(7)
    ledger.end_export(7, ExportState.DONE, folder="exports/7")
    ledger.end_export(8, ExportState.FAILED, message="the disk is full")
    told = [(one.project, one.state, one.folder, one.message) for one in ledger.export_requests()]
    assert told == [(7, ExportState.DONE, "exports/7", ""), (8, ExportState.FAILED, "", "the disk is full")]
    assert ledger.ask_for_export(7)


def test_an_export_whose_writer_died_is_begun_again_but_not_for_ever(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.ask_for_export(7)
    assert ledger.begin_export()
    clock.move(timedelta(minutes=1))
    ledger.renew_export(7)
    clock.move(timedelta(minutes=1))
    assert ledger.begin_export() is None  # its writer lives
    for _ in range(2):
        clock.move(timedelta(minutes=3))
        assert ledger.begin_export()
    clock.move(timedelta(minutes=3))
    assert ledger.begin_export() is None
    [request] = ledger.export_requests()
    assert request.state is ExportState.FAILED
    assert "vrthinker export by hand" in request.message
