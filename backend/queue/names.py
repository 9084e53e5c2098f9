"""What jobs are called: `<name>-<project>-<task>-<digest of the model version>`.

So a job can be found by its task, and entering one twice leaves one job. Orders wait in a queue per model version,
`judge:<model version>`, so that a worker takes those of its own version only.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.types import PairwiseTask

JUDGE = "judge"
PUBLISH = "publish"
REPUBLISH = "republish"
OF = ":"  # in no model version, and in no job's id

ALIVE = "vrthinker:alive:"


def judge_queue(model_version: str) -> str:
    """The name of the queue in which orders for a model version wait."""
    return f"{JUDGE}{OF}{model_version}"


def version_in(queue: str) -> str | None:
    """The model version in a queue's name, None where it is no queue of orders."""
    role, of, version = queue.partition(OF)
    return version if role == JUDGE and of else None


def role_in(queue: str) -> str:
    """What a worker of the queue does: `JUDGE` or `PUBLISH`."""
    return queue.partition(OF)[0]


def alive_key(worker: str) -> str:
    """What exists in Redis as long as a worker beats; its expiry needs no two clocks to agree."""
    return f"{ALIVE}{worker}"


def job_id(name: str, project: int, task: int, model_version: str) -> str:
    """The id of the job that does `name` for a task under a model version; letters, digits and `-` only."""
    return f"{name}-{row_id(project, task, model_version)}"


def judge_id(task: PairwiseTask, model_version: str) -> str:
    """The id of the job that judges a task."""
    return job_id(JUDGE, task.project, task.task, model_version)


def row_id(project: int, task: int, model_version: str) -> str:
    """The part of a job's id that is the same for every job of a ledger's row."""
    return f"{project}-{task}-{_digest(model_version)}"


def row_in(identity: str) -> str:
    """That part of a job's id."""
    return identity.partition("-")[2]


def place_in(identity: str) -> tuple[int, int] | None:
    """Project and task in a job's id, None where it is about no single task."""
    parts = identity.split("-")
    if len(parts) < 4 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return None
    return int(parts[1]), int(parts[2])


@lru_cache(maxsize=64)
def _digest(model_version: str) -> str:
    return hashlib.sha256(model_version.encode()).hexdigest()[:12]
