"""The GPU worker's process."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from backend.bootstrap import connect_label_studio, open_fetcher
from backend.jobs.judging import Judging
from backend.log import configure_logging, line
from backend.queue import WorkQueue
from backend.queue.names import JUDGE
from backend.version import contract_of, model_version
from backend.worker.gpu import device_of, memory_of
from backend.worker.steady import SteadyWorker

if TYPE_CHECKING:
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
    from backend.frames import VideoPair  # OpenCV

    queue = WorkQueue.connect_patiently(settings)
    version = model_version(settings)
    judging = Judging(
        engine=engine,
        fetcher=open_fetcher(settings, connect_label_studio(settings)),
        open_pair=VideoPair.open,
        deliver=queue.publish,
        contract=contract_of(settings),
        model_version=version,
        force_answer=settings.force_answer,
        swap_check=settings.swap_check,
        swap_threshold=settings.swap_threshold,
    )
    facts = {"model_version": version, "device": device}
    worker = SteadyWorker(
        queue.judging,
        {JUDGE: judging.judge},
        maintenance_interval_s=MAINTENANCE_S,
        facts=facts,
        measure=partial(memory_of, settings),
    )
    logger.info(line("worker ready", name=worker.name, **facts))
    worker.run()
