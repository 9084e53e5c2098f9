"""The prompts on which the model and people differ most, with answers to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.ledger import Key
from backend.report.exposure import Exposure
from backend.report.figures import Example, Hard
from backend.report.measure import share
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from backend.ledger import Ledger
    from backend.report.agreement import Beside
    from backend.report.strip import Strips
    from backend.types import PairwiseTask

MOST_PROMPTS = 10
MOST_EXAMPLES = 2


@dataclass(frozen=True, slots=True)
class Look:
    """Where prompts are read and pictures come from; `draw` is None where no pictures were asked for."""

    ledger: Ledger
    project: int
    draw: Callable[[PairwiseTask], Strips] | None = None


def hardest(rows: Beside, model_version: str, annotators: Sequence[str], look: Look) -> list[Hard]:
    """The prompts whose share of differing labels is the highest for sure: by the lower end of its interval."""
    compared, differing = _labels(rows)
    order = _ranking(rows.prompt, compared, differing)
    found = []
    for prompt in order:
        mine = rows.prompt == prompt
        worst = [row for row in np.flatnonzero(mine)[np.argsort(-differing[mine], kind="stable")] if differing[row]]
        first: dict[int, int] = {}
        for row in worst:
            first.setdefault(int(rows.task[row]), int(row))
        once = list(first.items())[:MOST_EXAMPLES]
        tasks = {task: _task(look, task, model_version) for task, _ in once}
        found.append(
            Hard(
                prompt=next((task.prompt for task in tasks.values() if task), ""),
                tasks=len(np.unique(rows.task[mine])),
                differing={
                    e: share(int(differing[here].sum()), int(compared[here].sum()))
                    for e in Exposure
                    if (here := mine & rows.of(e)).any()
                },
                examples=[_example(rows, row, annotators, tasks[task], look) for task, row in once],
            )
        )
    return found


def _labels(rows: Beside) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many labels of each row were compared, and how many of them differ."""
    compared = np.zeros(len(rows.task), np.int64)
    differing = np.zeros(len(rows.task), np.int64)
    for dimension in Dimension:
        both = rows.compared(dimension)
        compared += both
        differing += both & ~rows.agrees(dimension)
    return compared, differing


def _ranking(prompt: NDArray[np.int32], compared: NDArray[np.int64], differing: NDArray[np.int64]) -> Sequence[int]:
    from statsmodels.stats.proportion import proportion_confint

    of, count = np.bincount(prompt, weights=compared), np.bincount(prompt, weights=differing)
    candidates = np.flatnonzero(count)
    if not len(candidates):
        return []
    low, _ = proportion_confint(count[candidates], of[candidates], method="wilson")
    best: list[int] = candidates[np.argsort(-np.asarray(low), kind="stable")][:MOST_PROMPTS].tolist()
    return best


def _task(look: Look, task: int, model_version: str) -> PairwiseTask | None:
    entry = look.ledger.entry(Key(look.project, task, model_version))
    return entry.task if entry else None


def _example(rows: Beside, row: int, annotators: Sequence[str], task: PairwiseTask | None, look: Look) -> Example:
    strips = look.draw(task) if look.draw and task else None
    return Example(
        task=int(rows.task[row]),
        annotator=annotators[rows.annotator[row]],
        exposure=list(Exposure)[rows.exposure[row]],
        model={d: Preference(int(rows.model[d][row])) for d in Dimension if rows.model[d][row] >= 0},
        human={d: Preference(int(rows.human[d][row])) for d in Dimension if rows.human[d][row] >= 0},
        strips=strips.pictures if strips else (),
        no_strips=strips.problem if strips else "",
    )
