"""Measures sync and export of a large project.

A real ledger (SQLite) with judgements of a usual size, and the real command in a process of its own. The sync is our
own part alone: its annotations come from a stand-in that answers at once.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from backend.bench.report import Measure
from backend.bench.web import MB
from backend.errors import BenchError
from backend.jobs.syncing import Syncing
from backend.label_studio import records
from backend.label_studio.convert import to_prediction
from backend.label_studio.layout import parse_layout
from backend.label_studio.shipped import shipped_config
from backend.ledger import Ledger
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.settings import child_environment
from backend.types import Clip, Completion, DigitOdds, Dimension, Frame, PairwiseTask, Preference
from backend.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.types import Conversation, FrameRef, Judgement

PROJECT = 1
VERSION = "vrthinker-main.vrthinker-128v1.transformers.abc123"
START = datetime(2026, 1, 1, tzinfo=UTC)
POLL_S = 0.02
SYNCED = 10_000
PREDICTION = 1_000_000  # added to a task's id
ASK = (
    "<Snapshot>{words}</Snapshot><Think>{words} I want to see more.</Think><tool_call>"
    '{{"name": "select_frames", "arguments": {{"frame_indices": [{first}, 60, 68]}}}}</tool_call>'
)
ANSWER = (
    "<Snapshot>{words}</Snapshot><Think>Text Alignment (TA): {words}\nVisual Quality (VQ): {words}\n"
    "Motion Quality (MQ): {words}\nOverall (OA): {words}</Think><Answer>TA=1, VQ=0, MQ=2, OA=1</Answer>"
)
WORDS = "Video 1 keeps the plane's shape while Video 2 lets its wings melt into the clouds for about ten frames."


class Replies:
    """A stand-in for a model: asks twice, then answers, each time in the same words."""

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The next reply."""
        turn = sum(message.role == "assistant" for message in conversation)
        text = ANSWER.format(words=WORDS) if turn == 2 else ASK.format(words=WORDS, first=turn * 20 + 4)
        odds = (0.1, 0.7, 0.2)
        places = [text.index(f"{dimension}=") + 3 for dimension in Dimension] if turn == 2 else []
        return Completion(text, 4000, 200, digits=tuple(DigitOdds(place, odds, 0.99) for place in places))


class NoPictures:
    """A stand-in for two videos: places in the grid, no pixels."""

    clips = (Clip(1, 96, 24.0, 640, 368, "a" * 64), Clip(2, 96, 24.0, 640, 368, "b" * 64))

    def frames(self, refs: Sequence[FrameRef]) -> list[Frame]:
        """Frames without pictures."""
        return [Frame(ref, ref.slot, ref.slot, ref.slot / 24, None) for ref in refs]  # type: ignore[arg-type]


class Lists:
    """A stand-in for Label Studio: people agree, or correct one dimension in every third task."""

    def __init__(self, count: int, judgement: Judgement) -> None:
        self._count = count
        layout = parse_layout(shipped_config().read_text(encoding="utf-8"))
        told = tuple(to_prediction(layout, judgement, 1)["result"])
        choice = layout.choices[Dimension.MQ]
        other = {"choices": [choice.values[Preference.VIDEO_1]]}
        corrected = tuple({**item, "value": other} if item["from_name"] == choice.name else item for item in told)
        self._results = (told, told, corrected)

    def annotated_tasks(self, project: int, since: datetime | None = None) -> Iterator[records.AnnotatedTask]:
        """Every task with one annotation."""
        for task in range(1, self._count + 1):
            moment = START + timedelta(seconds=task)
            person, parent = task % 20, task + PREDICTION
            result = self._results[task % 3]
            one = records.Annotation(task, task, result, person, parent, False, 31.5, moment, moment)
            yield records.AnnotatedTask(task, moment, (one,))


def measure(folder: Path, tasks: int) -> Iterator[Measure]:
    """Every figure, one after the other."""
    judgement = judge(Replies(), NoPictures(), VRTHINKER_128, "", model_version=VERSION)
    ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
    _judged(ledger, folder, judgement, tasks)
    project = records.Project(PROJECT, "Pairs", shipped_config().read_text(encoding="utf-8"))
    synced = Syncing(ledger, Lists(min(SYNCED, tasks), judgement)).fetch_all(project)
    yield Measure(f"sync, {synced.annotations:,} annotations, our own part", synced.seconds, "s")
    Syncing(ledger, Lists(tasks, judgement)).fetch_all(project)
    ledger.close()
    yield Measure("the ledger's file", (folder / "ledger.db").stat().st_size / MB, "MB")
    for formats, limited in (("video-align", True), ("video-align,parquet", False)):
        seconds, busy, peak, size = _exported(folder, formats)
        name = f"export, {tasks:,} annotated tasks, records.jsonl + {formats}"
        yield Measure(name, seconds, "s", 60 if limited else None)
        yield Measure("CPU time of it", busy, "s")
        yield Measure("highest memory meanwhile", peak, "MB", 500 if limited else None)
    yield Measure("records.jsonl", size, "MB")


def _judged(ledger: Ledger, folder: Path, judgement: Judgement, tasks: int) -> None:
    """Enter the tasks, then their judgements in plain SQL: one by one, as publishers do it, would take minutes."""
    pairs = [
        PairwiseTask(PROJECT, n, f"/a{n}.mp4", f"/b{n}.mp4", f"Clip {n}: a paper plane.") for n in range(1, tasks + 1)
    ]
    ledger.enter(pairs, VERSION)
    body = to_json(replace(judgement, seconds={"total": 31.0}))
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute("INSERT INTO judgement (work_id, body) SELECT id, ? FROM work", (json.dumps(body),))
        moment = START.strftime("%Y-%m-%d %H:%M:%S.%f")
        done = "UPDATE work SET state = 'published', prediction_id = task + ?, judged_at = ?, published_at = ?"
        db.execute(done, (PREDICTION, moment, moment))
    db.close()


def _exported(folder: Path, formats: str) -> tuple[float, float, float, float]:
    """Seconds, seconds of CPU, highest memory and size of the records (both in MB) of one export."""
    out = folder / "set"
    environment = child_environment({"DATABASE_URL": f"sqlite:///{folder}/ledger.db", "HF_HOME": str(folder / "hf")})
    program = str(Path(sys.executable).with_name("vrthinker"))
    command = [program, "export", str(PROJECT), "--out", str(out), "--formats", formats]
    started, busy, peak = time.monotonic(), 0.0, 0.0
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL) as running:  # noqa: S603  # our own program
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                peak = max(peak, process.memory_info().rss / MB)
                busy = sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                break
            time.sleep(POLL_S)
    seconds = time.monotonic() - started
    if running.wait():
        raise BenchError(f"{' '.join(command)} ended with {running.returncode}")
    return seconds, busy, peak, (out / "records.jsonl").stat().st_size / MB
