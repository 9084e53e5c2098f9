"""A publisher's maintenance ends no publisher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from rq.exceptions import StopRequested

from backend.errors import LedgerError
from backend.worker.publish import PublishWorker

if TYPE_CHECKING:
    from backend.queue import WorkQueue


@pytest.mark.parametrize("error", [LedgerError("the disk is full"), KeyError("tasks")])
def test_maintenance_that_goes_wrong_is_logged_and_done_again(
    redis_queue: WorkQueue, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        """A test double of publishing and of reconciling."""

        publish = republish = None

        def flush(self) -> None:
            raise error

    broken = cast("Any", Broken())
    worker = PublishWorker(redis_queue, broken, broken, interval_s=1, name="publisher-1")
    worker.run_maintenance_tasks()
    worker.run_maintenance_tasks()
    assert caplog.text.count("not reconciled") == 2


def test_a_worker_told_to_stop_in_its_maintenance_stops(redis_queue: WorkQueue) -> None:
    class Stopped:
        """A test double of publishing and of reconciling, in which a signal arrives."""

        publish = republish = None

        def flush(self) -> None:
            raise StopRequested

    stopped = cast("Any", Stopped())
    worker = PublishWorker(redis_queue, stopped, stopped, interval_s=1, name="publisher-1")
    with pytest.raises(StopRequested):
        worker.run_maintenance_tasks()
