"""The demo's result, read back from Label Studio: what an annotator finds there."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from backend.label_studio.convert import labels_of
from backend.label_studio.layout import parse_layout
from backend.ledger import Key
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.label_studio.client import LabelStudioClient
    from backend.ledger import Entry, Ledger
    from backend.types import Judgement, Labels

SHOWN = {Preference.TIE: "tie", Preference.VIDEO_1: "1", Preference.VIDEO_2: "2"}
CAPTION = "1 or 2: the better video. Turns and seconds are the ledger's."
PROMPT_WIDTH = 30
COLUMNS = (Dimension.TA, Dimension.VQ, Dimension.MQ, Dimension.OA)


@dataclass(frozen=True, slots=True)
class Row:
    """One task: what Label Studio holds for it, and what the ledger knows of how it came about.

    `labels` is empty without a prediction; then `reason` says why.
    """

    task: int
    prompt: str
    labels: Labels
    confidence: float | None
    judgement: Judgement | None
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether Label Studio shows a choice for every dimension."""
        return len(self.labels) == len(Dimension)


def read_back(client: LabelStudioClient, ledger: Ledger, project: int, model_version: str) -> list[Row]:
    """One row per task of the project, with its prediction of that version.

    Raises:
        LabelStudioError: Label Studio cannot be read.
        LedgerError: the ledger cannot be read.
    """
    layout = parse_layout(client.project(project).label_config)
    tasks = list(client.tasks(project))
    stored = dict(client.predictions(project, [task.id for task in tasks], model_version))
    rows = []
    for task in tasks:
        key = Key(project, task.id, model_version)
        found, entry = next(iter(stored.get(task.id, ())), None), ledger.entry(key)
        rows.append(
            Row(
                task=task.id,
                prompt=str(task.data.get(layout.prompt_key, "")),
                labels=labels_of(layout, found.result) if found else {},
                confidence=found.score if found else None,
                judgement=ledger.judgement(key),
                reason="" if found else _why(entry),
            )
        )
    return rows


def as_table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    table = Table(title="Pre-annotations in Label Studio", box=SIMPLE_HEAD, caption=CAPTION, padding=(0, 1, 0, 0))
    table.add_column("Task", justify="right", no_wrap=True)
    table.add_column("Prompt", no_wrap=True)
    for dimension in COLUMNS:
        table.add_column(dimension.value, justify="center", min_width=3)
    for name in ("Conf.", "Turns", "Seconds"):
        table.add_column(name, justify="right", min_width=len(name))
    for row in rows:
        prompt = shorten(row.prompt, PROMPT_WIDTH, placeholder="…")
        table.add_row(str(row.task), prompt, *_cells(row), style=None if row.complete else "red")
    return table


def shortcomings(rows: Sequence[Row]) -> list[str]:
    """One line for each task without a complete prediction."""
    return [f"Task {row.task}: {row.reason or 'not every dimension has a choice'}" for row in rows if not row.complete]


def _why(entry: Entry | None) -> str:
    if entry is None:
        return "the backend was never asked for it"
    return f"{entry.state}, {entry.reason}: {entry.message}" if entry.reason else str(entry.state)


def _cells(row: Row) -> list[str]:
    if not row.labels:
        return ["-"] * (len(COLUMNS) + 3)
    choices = [SHOWN[row.labels[dimension]] if dimension in row.labels else "-" for dimension in COLUMNS]
    confidence = "-" if row.confidence is None else f"{row.confidence * 100:.0f} %"
    if row.judgement is None:
        return [*choices, confidence, "-", "-"]
    seconds = sum(turn.seconds for turn in row.judgement.turns)
    return [*choices, confidence, str(len(row.judgement.turns)), f"{seconds:.1f}"]
