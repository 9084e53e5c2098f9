"""The GPU worker's process."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from rq.exceptions import DeserializationError

from backend.bootstrap import connect_label_studio, open_fetcher
from backend.jobs.judging import Judging
from backend.jobs.seats import Seats
from backend.log import configure_logging, line
from backend.queue import WorkQueue
from backend.queue.names import JUDGE
from backend.version import contract_of, model_version
from backend.wire import Order, from_json
from backend.worker.gpu import device_of, memory_of
from backend.worker.parallel import ParallelWorker

if TYPE_CHECKING:
    from rq.job import Job

    from backend.reasoning.judge import Engine
    from backend.settings import Settings

logger = logging.getLogger(__name__)

MAINTENANCE_S = 30


def run_judge_worker(settings: Settings) -> None:
    """Load the model, then judge orders until SIGTERM.

    Raises:
        CheckpointError: the model cannot be loaded.
        QueueError: Redis was lost for good.
        SettingsError: a setting is out of range.
    """
    from backend.engines.choice import engine_of  # torch, unless a server runs the model

    configure_logging(settings.log_level)
    engine = engine_of(settings)
    judge_until_stopped(settings, engine, device=device_of(settings))


def judge_until_stopped(settings: Settings, engine: Engine, *, device: str) -> None:
    """Judge with this engine until SIGTERM.

    Raises:
        QueueError: Redis was lost for good.
        SettingsError: a setting is out of range.
    """
    from backend.frames import FrameCache, VideoPair  # OpenCV

    queue = WorkQueue.connect_patiently(settings)
    version = model_version(settings)
    room = settings.frame_cache_bytes
    cache = FrameCache(settings.media_cache_dir.with_name("frames"), room) if room else None
    judging = Judging(
        engine=engine,
        fetcher=open_fetcher(settings, connect_label_studio(settings)),
        open_pair=partial(VideoPair.open, cache=cache),
        deliver=queue.publish,
        contract=contract_of(settings),
        model_version=version,
        force_answer=settings.force_answer,
        swap_check=settings.swap_check,
        swap_threshold=settings.swap_threshold,
        seats=Seats(settings.batch),
    )
    facts = {"model_version": version, "device": device}
    worker = ParallelWorker(
        queue.judging(version),
        {JUDGE: judging.judge},
        places=places_for(settings.batch),
        maintenance_interval_s=MAINTENANCE_S,
        alone=was_tried_before,
        facts=facts,
        measure=partial(memory_of, settings),
    )
    logger.info(line("worker ready", name=worker.name, **facts))
    worker.run()


def places_for(batch: int) -> int:
    """How many orders a worker holds: those that are judged together, and a few whose videos are being fetched.

    At least one, and more for a large batch, in which conversations often end close together. No more than that,
    because another worker might judge them sooner.
    """
    return batch + 1 + batch // 2


def was_tried_before(job: Job) -> bool:
    """Whether an order came to nothing before: perhaps because it kills the process that judges it."""
    try:
        order = from_json(Order, job.args[0])
    except (ValueError, TypeError, LookupError, DeserializationError):
        return False  # not an order of ours; refused when it is run
    return order.attempt > 1
