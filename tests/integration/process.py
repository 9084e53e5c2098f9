"""What the tests start as processes.

    python -m tests.integration.process judge SECONDS_PER_REPLY     with shorter times
    python -m tests.integration.process steady SECONDS_PER_REPLY    with the product's own times
    python -m tests.integration.process files SECONDS_PER_REPLY     with the product's own videos and wiring, too
    python -m tests.integration.process light                       all of it the product's own, without torch
    python -m tests.integration.process publisher

The publisher is the product's own. Other judge workers are put together as `backend.worker.judge` does it, with test
doubles for the model and the videos.
"""

from __future__ import annotations

import sys

from backend.jobs.judging import Judging
from backend.jobs.seats import Seats
from backend.log import configure_logging
from backend.queue import WorkQueue
from backend.queue.names import JUDGE
from backend.settings import Settings, load_settings
from backend.version import contract_of, model_version
from backend.worker import run_judge_worker, run_publisher
from backend.worker.judge import judge_until_stopped, places_for, was_tried_before
from backend.worker.parallel import ParallelWorker
from tests.integration.doubles import GreyVideos, NamedVideos, PromptedEngine


class HastyWorker(ParallelWorker):
    """The product's worker with shorter times, so that tests need not wait for half a minute."""

    beat_s = 1
    beat_ttl_s = 4
    hang_grace_s = 1
    hand_back_s = 1


def run_judge_with_doubles(settings: Settings, seconds: float, kind: type[ParallelWorker]) -> None:
    """Judge until SIGTERM, each reply taking so many seconds."""
    configure_logging(settings.log_level)
    queue = WorkQueue.connect_patiently(settings)
    judging = Judging(
        engine=PromptedEngine(seconds),
        fetcher=NamedVideos(),
        open_pair=GreyVideos,
        deliver=queue.publish,
        contract=contract_of(settings),
        model_version=model_version(settings),
        force_answer=True,
        swap_check="off",
        swap_threshold=0.0,
        seats=Seats(settings.batch),
    )
    facts = {"model_version": model_version(settings), "device": "test double"}
    worker = kind(
        queue.judging(model_version(settings)),
        {JUDGE: judging.judge},
        places=places_for(settings.batch),
        maintenance_interval_s=settings.reconcile_interval_s,
        alone=was_tried_before,
        facts=facts,
    )
    worker.run()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["judge", seconds]:
            run_judge_with_doubles(load_settings(), float(seconds), HastyWorker)
        case ["steady", seconds]:
            run_judge_with_doubles(load_settings(), float(seconds), ParallelWorker)
        case ["files", seconds]:
            settings = load_settings()
            configure_logging(settings.log_level)
            judge_until_stopped(settings, PromptedEngine(float(seconds)), device="test double")
        case ["light"]:
            for absent in ("torch", "transformers"):
                sys.modules[absent] = None  # type: ignore[assignment]  # as if it were not installed
            run_judge_worker(load_settings())
        case ["publisher"]:
            run_publisher(load_settings())
        case other:
            sys.exit(f"There is no process {other}.")
