"""Measures `vrthinker report` on many answers.

A ledger of made-up answers whose judgements have the size of real ones, and the real command in a process of its own.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy import create_engine, insert

from backend.bench.report import Measure
from backend.bench.web import CONFIG
from backend.errors import BenchError
from backend.ledger import Ledger, Project, State
from backend.ledger.schema import annotation, judgement, work
from backend.settings import child_environment
from backend.types import (
    Clip,
    Dimension,
    FrameRef,
    InspectedFrame,
    Judgement,
    Preference,
    StopCondition,
    Turn,
    Verdict,
)
from backend.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = 1
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BATCH = 2000
VERSIONS = ("vrthinker-1.vrthinker-128v1", "vrthinker-2.vrthinker-128v1")
CHOICES = {Preference.TIE: "Tie", Preference.VIDEO_1: "Video 1", Preference.VIDEO_2: "Video 2"}
SUBJECTS = ("a red panda", "two dancers", "a paper plane", "an old harbour", "a street cook", "a glass of tea")
ACTIONS = ("in slow motion", "under neon light", "seen from above", "in heavy rain", "at dawn", "through fog")
GENERATORS = ("atlas", "boreal", "cirrus")
MB = 1_000_000
PEOPLE = 12
LIMIT_S, LIMIT_MB = 60.0, 500.0
REPLY = "The first frames look alike; around the middle the motion of one of them stalls. " * 14


@dataclass(frozen=True, slots=True)
class Made:
    """A made-up project: how many tasks, and the shares of them that are blind, have two answers, are judged twice.

    `prompt` stands at the beginning of every prompt.
    """

    tasks: int
    blind: float = 0.2
    twice: float = 0.15
    both_versions: float = 0.5
    prompt: str = ""


def fill(url: str, made: Made, seed: int = 1) -> None:
    """Put a made-up project into a new ledger: judgements of two versions, and people who mostly agree with them."""
    ledger = Ledger.open(url)
    ledger.remember_project(Project(PROJECT, "Made-up pairs", CONFIG))
    ledger.close()
    engine = create_engine(url)
    rows = _rows(made, random.Random(seed))  # noqa: S311  # made-up data, no secret
    while batch := list(islice(rows, BATCH)):
        with engine.begin() as db:
            for table in (work, judgement, annotation):
                if values := [row for one in batch for row in one.get(table.name, ())]:
                    db.execute(insert(table), values)
    engine.dispose()


def _rows(made: Made, dice: random.Random) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """The rows of one task after the other, by table."""
    ids = iter(range(1, 100_000_000))
    template = _body(dice)
    for task in range(1, made.tasks + 1):
        shown = dice.random() >= made.blind
        truth = {d: dice.choices(list(Preference), (2, 4, 4))[0] for d in Dimension}
        when = START + timedelta(days=90 * task / made.tasks, minutes=dice.random() * 300)
        asked = {**_work(task, when, dice, shown=shown), "prompt": _prompt(task, made)}
        works, bodies = [], []
        first: dict[Dimension, Preference] = {}
        for number, version in enumerate(VERSIONS if dice.random() < made.both_versions else VERSIONS[:1]):
            verdicts = {d: _verdict(truth[d], 0.62 + 0.1 * number, dice) for d in Dimension}
            first = first or {dimension: verdict.preference for dimension, verdict in verdicts.items()}
            row = next(ids)
            works.append({**asked, "id": row, "model_version": version, "prediction_id": row if shown else None})
            bodies.append({"work_id": row, "body": {**template, "model_version": version, **to_json_of(verdicts)}})
        given = works[0]["prediction_id"] if dice.random() < 0.9 else None
        people = dice.sample(range(1, PEOPLE + 1), 2 if dice.random() < made.twice else 1)
        answers = [_annotation(next(ids), task, one, given, truth, first, when, dice) for one in people]
        yield {"work": works, "judgement": bodies, "annotation": answers}


def _verdict(truth: Preference, skill: float, dice: random.Random) -> Verdict:
    right = dice.random() < skill
    preference = truth if right else dice.choices(list(Preference), (2, 5, 4))[0]
    confidence = min(0.99, max(0.36, dice.gauss(0.85 if right else 0.72, 0.12)))
    odds = [0.0, 0.0, 0.0]
    split = dice.random()
    for place, other in enumerate(o for o in Preference if o != preference):
        odds[other] = (1 - confidence) * (split if place else 1 - split)
    odds[preference] = confidence
    doubtful = confidence < 0.75
    flipped = dice.random() < 0.3 if doubtful else None
    return Verdict(preference, (odds[0], odds[1], odds[2]), 0.98, "because " * 30, flipped)


def _body(dice: random.Random) -> dict[str, Any]:
    """A judgement of a real one's size: three turns, 24 inspected frames."""
    turns = tuple(Turn(REPLY, "select_frames", "", (40, 60), False, 9000, 8000, 300, 2.0) for _ in range(3))
    frames = tuple(InspectedFrame(FrameRef(1 if n % 2 else 2, 4 * n), 4 * n, 4 * n, n / 6, n // 12) for n in range(24))
    clips = (Clip(1, 120, 24.0, 1280, 720), Clip(2, 120, 24.0, 1280, 720))
    seconds = {"total": dice.uniform(5, 30)}
    whole = Judgement("", {}, REPLY, StopCondition.ANSWERED, False, turns, frames, clips, seconds)
    return to_json(whole)


def to_json_of(verdicts: dict[Dimension, Verdict]) -> dict[str, Any]:
    """The verdicts as they stand in a stored judgement."""
    whole = Judgement("", verdicts, "", StopCondition.ANSWERED, False, (), (), ())
    return {"verdicts": to_json(whole)["verdicts"]}


def _prompt(task: int, made: Made) -> str:
    """The prompt of a task; four tasks share one."""
    dice = random.Random(task // 4)  # noqa: S311  # made-up data, no secret
    return f"{made.prompt} {dice.choice(SUBJECTS)} {dice.choice(ACTIONS)}, take {task // 4}".strip()


def _work(task: int, when: datetime, dice: random.Random, *, shown: bool) -> dict[str, Any]:
    one, two = dice.sample(GENERATORS, 2)
    return {
        "project": PROJECT,
        "task": task,
        "video1": f"/data/local-files/?d={one}/{task}.mp4",
        "video2": f"/data/local-files/?d={two}/{task}.mp4",
        "player_fps": [24.0, 24.0],
        "shown": shown,
        "state": State.PUBLISHED if shown else State.JUDGED,
        "attempts": 1,
        "publish_attempts": 1,
        "reason": "",
        "message": "",
        "claim": "",
        "not_before": when,
        "entered_at": when,
        "updated_at": when,
        "judged_at": when,
        "published_at": when if shown else None,
    }


def _annotation(
    identity: int,
    task: int,
    person: int,
    given: int | None,
    truth: dict[Dimension, Preference],
    seen: dict[Dimension, Preference],
    when: datetime,
    dice: random.Random,
) -> dict[str, Any]:
    labels = {}
    for dimension in Dimension:
        own = truth[dimension] if dice.random() < 0.8 - person / 60 else dice.choice(list(Preference))
        labels[dimension] = seen[dimension] if given and dice.random() < 0.35 else own
    later = when + timedelta(hours=dice.uniform(1, 48))
    return {
        "id": identity,
        "project": PROJECT,
        "task": task,
        "completed_by": person,
        "result": [
            {"from_name": d.lower(), "to_name": "video1", "type": "choices", "value": {"choices": [CHOICES[label]]}}
            for d, label in labels.items()
        ],
        "parent_prediction": given,
        "was_cancelled": dice.random() < 0.01,
        "lead_time": dice.uniform(10, 120),
        "created_at": later,
        "updated_at": later,
        "origin": "sync",
        "deleted": False,
    }


def measure(folder: Path, tasks: int) -> Iterator[Measure]:
    """Every figure: the command on a ledger of that many answered tasks."""
    url = f"sqlite:///{folder}/ledger.db"
    fill(url, Made(tasks))
    yield Measure("size of the ledger", (folder / "ledger.db").stat().st_size / MB, "MB")
    seconds, highest = _run(url, folder / "report")
    limits = tasks >= 100_000
    yield Measure(f"report on {tasks:,} answered tasks", seconds, "s", LIMIT_S if limits else None)
    yield Measure("highest memory meanwhile", highest, "MB", LIMIT_MB)
    size = sum(file.stat().st_size for file in (folder / "report").iterdir())
    yield Measure("size of the report", size / MB, "MB")


def _run(url: str, out: Path) -> tuple[float, float]:
    """Seconds and the highest resident memory in MB of one run, looked at every 20 ms."""
    command = [str(Path(sys.executable).with_name("vrthinker")), "report", str(PROJECT), "--out", str(out)]
    start, highest = time.perf_counter(), 0.0
    process = subprocess.Popen(command, env=child_environment({"DATABASE_URL": url}), cwd=out.parent)  # noqa: S603  # our own program
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            highest = max(highest, watched.memory_info().rss / MB)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    if process.wait() != 0:
        raise BenchError(f"vrthinker report ended with {process.returncode}")
    return time.perf_counter() - start, highest
