"""The publisher's job: an outcome into the ledger, and from there exactly once into Label Studio."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from rq.exceptions import StopRequested
from rq.timeouts import JobTimeoutException

from backend.errors import (
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioUnauthorizedError,
    LabelStudioUnavailableError,
    LabelStudioUnreadableError,
)
from backend.jobs.publishing import BATCH, BATCH_LEASE
from backend.label_studio import records
from backend.label_studio.bulk import IMPORT_TIMEOUT_S
from backend.ledger import Project, State
from backend.queue.workqueue import PUBLISH_TIMEOUT_S
from backend.types import Clip, FrameRef, InspectedFrame
from backend.wire import Failure, Outcome, to_json
from tests.integration.doubles import label_config
from tests.unit.jobs.desk import CONFIG, VERSION, Studio, judged, key, order
from tests.unit.label_studio.configs import FULL

if TYPE_CHECKING:
    from tests.unit.jobs.desk import Desk

BLIND_CONFIG = CONFIG.replace("<View>", '<View className="vrthinker-blind">', 1)


def test_a_judgement_is_published_at_once_when_nothing_else_waits(desk: Desk) -> None:
    desk.publish(judged())
    assert desk.told() == (State.PUBLISHED, "")
    assert [one.task for one in desk.studio.stored.values()] == [1]
    assert desk.ledger.project(1) == Project(1, "Dogs", CONFIG)


def test_the_same_outcome_twice_is_one_prediction(desk: Desk) -> None:
    desk.publish(judged())
    desk.publish(judged())
    assert len(desk.studio.stored) == 1


def test_a_prediction_that_is_there_already_is_found_and_not_posted_again(desk: Desk) -> None:
    desk.ledger.record(judged())
    desk.studio.stored[7] = records.NewPrediction(1, VERSION, ())
    desk.publishing.republish(1, 1, VERSION)
    entry = desk.ledger.entry(key())
    assert entry is not None
    assert (entry.state, entry.prediction_id) == (State.PUBLISHED, 7)
    assert len(desk.studio.stored) == 1


def test_what_waits_is_written_back_together(desk: Desk) -> None:
    desk.studio.deleted.add(3)
    desk.publish(*(judged(task) for task in range(1, 6)))
    assert desk.studio.imports == 1
    assert desk.told(3) == (State.SKIPPED, "task_deleted")
    assert {desk.told(task)[0] for task in (1, 2, 4, 5)} == {State.PUBLISHED}


def test_a_long_queue_is_written_back_in_several_batches(desk: Desk) -> None:
    desk.publish(*(judged(task) for task in range(1, BATCH + 3)))
    assert desk.studio.imports == 2
    assert desk.ledger.counts(1)[State.PUBLISHED] == BATCH + 2


def test_what_was_collected_is_written_back_when_asked(desk: Desk) -> None:
    desk.waiting = 1
    desk.publishing.publish(to_json(judged()))
    assert desk.told()[0] is State.JUDGED
    desk.publishing.flush()
    desk.publishing.flush()
    assert desk.told()[0] is State.PUBLISHED


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (LabelStudioUnavailableError("503"), State.JUDGED),
        (LabelStudioUnauthorizedError("expired"), State.JUDGED),
        (LabelStudioNotFoundError("404 page not found"), State.JUDGED),
        (LabelStudioUnreadableError("a proxy's page"), State.JUDGED),
        (LabelStudioError("refused"), State.FAILED),
    ],
)
def test_each_refusal_of_label_studio_leaves_its_reason(desk: Desk, error: LabelStudioError, state: State) -> None:
    desk.studio.error = error
    desk.publish(judged())
    assert desk.told() == (state, error.reason)


@pytest.mark.parametrize("config", [label_config("TA", "MQ", "VQ"), "<View/>", "no xml"])
def test_a_judgement_that_no_longer_fits_the_config_is_not_posted(desk: Desk, config: str) -> None:
    desk.studio.config = config
    desk.publish(judged())
    assert desk.told() == (State.FAILED, "label_config")
    assert desk.studio.stored == {}


def test_a_blind_config_gets_no_prediction(desk: Desk) -> None:
    desk.studio.config = BLIND_CONFIG
    desk.publish(judged(1), judged(2))
    assert desk.studio.stored == {}
    assert desk.told(1) == desk.told(2) == (State.JUDGED, "")
    assert desk.ledger.unpublished() == []


def test_a_judgement_that_cannot_be_fitted_fails_alone(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Such rates were taken from tasks once."""
    desk.studio.config = FULL
    bad = judged(2)
    assert bad.judgement is not None
    frame = InspectedFrame(FrameRef(1, 0), 0, 0, 0.0, 0)
    clips = (Clip(1, 96, 24.0, 64, 64), Clip(2, 96, 24.0, 64, 64))
    task = replace(bad.order.task, player_fps=(float("inf"), 24.0))
    bad = Outcome(replace(bad.order, task=task), replace(bad.judgement, frames=(frame,), clips=clips))
    desk.publish(judged(1), bad, judged(3))
    assert [desk.told(number)[0] for number in (1, 2, 3)] == [State.PUBLISHED, State.FAILED, State.PUBLISHED]
    assert desk.told(2)[1] == "crashed"
    assert "judgement not understood" in caplog.text


def test_a_judgement_that_cannot_be_read_fails_alone(desk: Desk) -> None:
    for task in (1, 2, 3):
        desk.ledger.record(judged(task))
    with desk.ledger._write() as db:
        db.exec_driver_sql("UPDATE judgement SET body = '{}' WHERE work_id = 2")
    desk.publishing.write_back([key(1), key(2), key(3)])
    assert [desk.told(number)[0] for number in (1, 2, 3)] == [State.PUBLISHED, State.FAILED, State.PUBLISHED]
    entry = desk.ledger.entry(key(2))
    assert entry is not None
    assert "judgement of task 2 in the ledger is unreadable" in entry.message


def test_a_crash_keeps_back_only_the_row_it_comes_from(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Studio):
        def create_prediction(self, prediction: records.NewPrediction) -> int:
            if prediction.task == 5:
                raise KeyError("id")
            return super().create_prediction(prediction)

    desk.studio = Broken()
    desk.__post_init__()
    desk.publish(*(judged(task) for task in range(1, 12)))
    assert desk.told(5) == (State.JUDGED, "crashed")
    assert {desk.told(task) for task in range(1, 12) if task != 5} == {(State.PUBLISHED, "")}
    assert len(desk.studio.stored) == 10
    assert "write-back crashed" in caplog.text


@pytest.mark.parametrize("raised", [JobTimeoutException, StopRequested])
def test_what_the_worker_is_told_is_no_fault_of_a_row(raised: type[Exception], desk: Desk) -> None:
    class Endless(Studio):
        def project(self, project: int) -> records.Project:
            raise raised

    desk.studio = Endless()
    desk.__post_init__()
    with pytest.raises(raised):
        desk.publish(judged(1), judged(2))
    assert desk.told(1) == desk.told(2) == (State.JUDGED, "")


def test_a_batch_may_end_by_itself_before_its_job_is_ended_and_the_job_before_its_lease(desk: Desk) -> None:
    one_by_one_s = BATCH / 5  # so many requests a second, at least, go through
    assert IMPORT_TIMEOUT_S + one_by_one_s < PUBLISH_TIMEOUT_S
    desk.ledger.record(judged())
    claims = desk.ledger.claim_for_publishing([key()])
    desk.ledger.renew(claims, BATCH_LEASE)
    desk.now[0] += timedelta(seconds=PUBLISH_TIMEOUT_S)
    assert desk.ledger.claim_for_publishing([key()]) == []


def test_a_publisher_that_was_too_slow_posts_nothing(desk: Desk) -> None:
    desk.ledger.record(judged())
    [slow] = desk.ledger.claim_for_publishing([key()])
    desk.now[0] += timedelta(hours=1)
    desk.ledger.claim_for_publishing([key()])
    desk.publishing._write_one(slow, records.NewPrediction(1, VERSION, ()))
    assert desk.studio.stored == {}


def test_a_failure_is_recorded_and_published_nowhere(desk: Desk) -> None:
    desk.publish(Outcome(order(), failure=Failure("media", "404", False)))
    assert desk.told() == (State.FAILED, "media")
    assert desk.studio.stored == {}


def test_the_label_stream_is_set_to_the_version_that_was_published(desk: Desk) -> None:
    desk.publish(judged())
    assert desk.studio.shown == VERSION


def test_a_label_stream_that_cannot_be_set_keeps_no_judgement_back(desk: Desk) -> None:
    desk.studio.show_error = LabelStudioUnavailableError("no")
    desk.publish(judged())
    assert desk.told() == (State.PUBLISHED, "")
    assert desk.studio.shown == ""
