"""The two kinds of worker process: one judges on a GPU, one publishes."""

from backend.worker.judge import run_judge_worker
from backend.worker.publish import run_publisher

__all__ = ["run_judge_worker", "run_publisher"]
