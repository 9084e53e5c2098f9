"""The publisher's process: no GPU, no torch."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from rq.exceptions import StopRequested

from backend.bootstrap import connect_label_studio, open_ledger
from backend.errors import VRThinkerError
from backend.intake import LedgerIntake
from backend.jobs.calibrating import Calibrating
from backend.jobs.comparing import Comparing
from backend.jobs.publishing import Publishing
from backend.jobs.reconciling import Reconciling
from backend.jobs.syncing import Syncing
from backend.log import configure_logging, line
from backend.queue import WorkQueue
from backend.queue.names import PUBLISH, REPUBLISH
from backend.version import model_version
from backend.worker.auto import AutoIntake
from backend.worker.exporting import Exporting
from backend.worker.steady import SteadyWorker, worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.label_studio.client import LabelStudioClient
    from backend.ledger import Ledger
    from backend.settings import Settings

logger = logging.getLogger(__name__)

LONGEST_GOODBYE_S = 5.0  # well within the ten seconds that containers have to stop
WISHES_EVERY_S = 2.0  # somebody has pressed a button and looks at the status page


class PublishWorker(SteadyWorker):
    """Publishes, and between two jobs puts right what went wrong elsewhere."""

    def __init__(
        self, queue: WorkQueue, publishing: Publishing, reconciling: Reconciling, *, interval_s: float, name: str
    ) -> None:
        """`interval_s` is how often to reconcile, in seconds; `name` is one of `worker_name`."""
        self._queue = queue
        self._publishing = publishing
        self._reconciling = reconciling
        handlers: dict[str, Callable[..., None]] = {PUBLISH: publishing.publish, REPUBLISH: publishing.republish}
        super().__init__(queue.publishing, handlers, maintenance_interval_s=interval_s, name=name)

    def run_maintenance_tasks(self) -> None:
        """RQ's own, then ours. What is down now may be up next time."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # RQ types it not yet
        try:
            for queue in (*self._queue.all_judging(), self._queue.publishing):
                # RQ does this under a lock that a killed worker would hold for a quarter of an hour.
                queue.intermediate_queue.cleanup(self, queue)
            self._publishing.flush()
            self._reconciling.run()
        except StopRequested:  # a signal, which RQ raises in whatever an idle worker is doing
            raise
        except VRThinkerError as error:
            logger.warning(line("not reconciled", error=error))
        except Exception:  # RQ would end this worker, and the next one would meet the same
            logger.exception(line("not reconciled"))


def run_publisher(settings: Settings) -> None:
    """Publish, reconcile and sync until SIGTERM.

    Raises:
        LedgerError: the ledger's database cannot be used at the start.
        QueueError: Redis was lost for good.
        SettingsError: a setting is out of range.
    """
    configure_logging(settings.log_level)
    ledger, label_studio = open_ledger(settings), connect_label_studio(settings)
    queue = WorkQueue.connect_patiently(settings)
    name = worker_name()
    publishing = Publishing(ledger, label_studio, waiting=lambda: queue.publishing.count, name=name)
    reconciling = Reconciling(ledger, queue)
    worker = PublishWorker(queue, publishing, reconciling, interval_s=settings.reconcile_interval_s, name=name)
    stopped = threading.Event()
    # A thread of its own: listing the annotations of a large project takes minutes, in which others want to publish.
    for loop in (Syncing(ledger, label_studio), _auto_intake(settings, ledger, label_studio)):
        threading.Thread(target=loop.run_until, args=(stopped, settings.reconcile_interval_s), daemon=True).start()
    for counting in (Comparing(ledger), Calibrating(ledger)):
        threading.Thread(target=counting.run_until, args=(stopped,), daemon=True).start()
    exporting = Exporting(ledger, settings.export_dir)
    granting = threading.Thread(target=exporting.run_until, args=(stopped, WISHES_EVERY_S), daemon=True)
    granting.start()
    logger.info(line("publisher ready", name=worker.name))
    try:
        worker.run()
    finally:
        stopped.set()
        granting.join(LONGEST_GOODBYE_S)  # or the export that it began would outlive it, and be begun again elsewhere


def _auto_intake(settings: Settings, ledger: Ledger, label_studio: LabelStudioClient) -> AutoIntake:
    intake = LedgerIntake(ledger, WorkQueue.connect(settings), model_version(settings))
    return AutoIntake(ledger, label_studio, intake)
