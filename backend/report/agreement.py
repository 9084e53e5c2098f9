"""The figures of one model version beside people's answers, per exposure and never across."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from backend.agreement.compare import Comparison, compare_labels
from backend.report.exposure import Exposure
from backend.report.figures import Agreement, Group, Part, Parts
from backend.report.measure import calibration, confusion_of, kappa, scored, share
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from backend.report.gather import Gathered
    from backend.report.measure import Counts, Labels, Reals, Share

MOST_PARTS = 100


@dataclass(frozen=True)
class Beside:
    """One version's rows: for each answer it can be compared with, both sides' labels (-1 for none) and what we know.

    `answer` is the row among all answers.
    """

    answer: NDArray[np.int32]
    task: NDArray[np.int64]
    annotator: NDArray[np.int32]
    source: NDArray[np.int32]
    prompt: NDArray[np.int32]
    created: NDArray[np.int64]
    exposure: NDArray[np.int8]
    model: dict[Dimension, Labels]
    human: dict[Dimension, Labels]
    confidence: dict[Dimension, Reals]
    margin: dict[Dimension, Reals]

    def of(self, exposure: Exposure) -> NDArray[np.bool_]:
        """Which rows are of this exposure."""
        mine: NDArray[np.bool_] = self.exposure == list(Exposure).index(exposure)
        return mine

    def compared(self, dimension: Dimension) -> NDArray[np.bool_]:
        """Where both gave a label."""
        return (self.model[dimension] >= 0) & (self.human[dimension] >= 0)

    def agrees(self, dimension: Dimension) -> NDArray[np.bool_]:
        """Where the labels are the same; means something only where both were given."""
        same: NDArray[np.bool_] = self.model[dimension] == self.human[dimension]
        return same


def beside(gathered: Gathered, version: int) -> Beside:
    """The rows of one version, by its number."""
    answers, comparisons = gathered.answers, gathered.comparisons
    mine = np.frombuffer(comparisons.version, np.int16) == version if len(comparisons.version) else np.zeros(0, bool)
    rows = np.array(comparisons.answer, np.int32)[mine]
    return Beside(
        answer=rows,
        task=np.array(answers.task, np.int64)[rows],
        annotator=np.array(answers.annotator, np.int32)[rows],
        source=np.array(answers.source, np.int32)[rows],
        prompt=np.array(answers.prompt, np.int32)[rows],
        created=np.array(answers.created, np.int64)[rows],
        exposure=np.array(comparisons.exposure, np.int8)[mine],
        model={d: np.array(comparisons.model[d], np.int8)[mine] for d in Dimension},
        human={d: np.array(answers.human[d], np.int8)[rows] for d in Dimension},
        confidence={d: np.array(comparisons.confidence[d], np.float64)[mine] for d in Dimension},
        margin={d: np.array(comparisons.margin[d], np.float64)[mine] for d in Dimension},
    )


def groups(rows: Beside) -> list[Group]:
    """One group for each exposure that occurs."""
    found = []
    for exposure in Exposure:
        mine = rows.of(exposure)
        if mine.any():
            dimensions = {dimension: _agreement(rows, dimension, mine) for dimension in Dimension}
            found.append(Group(exposure, int(mine.sum()), len(np.unique(rows.task[mine])), dimensions))
    return found


def _agreement(rows: Beside, dimension: Dimension, mine: NDArray[np.bool_]) -> Agreement:
    both = mine & rows.compared(dimension)
    model, human, agrees = rows.model[dimension][both], rows.human[dimension][both], rows.agrees(dimension)[both]
    decided = human != Preference.TIE
    confusion = confusion_of(model, human)
    missing = int(mine.sum() - both.sum())
    return Agreement(
        compared=len(model),
        missing=missing,
        with_ties=share(int(agrees.sum()), len(model)),
        without_ties=share(int(agrees[decided].sum()), int(decided.sum())),
        scored=scored(rows.margin[dimension][both], human),
        kappa=kappa(confusion),
        confusion=confusion.tolist(),
        comparisons=_comparisons(confusion, missing),
        calibration=calibration(rows.confidence[dimension][both], agrees),
    )


def _comparisons(confusion: Counts, missing: int) -> dict[Comparison, int]:
    counts = dict.fromkeys(Comparison, 0)
    counts[Comparison.MISSING] = missing
    for model, human in product(Preference, Preference):
        counts[compare_labels(model, human)] += int(confusion[model, human])
    return counts


def parts(rows: Beside, key: NDArray[np.integer], names: Sequence[str], *, by_name: bool = False) -> Parts:
    """Agreement with ties for each value of `key` and each exposure; the largest parts, or all in the names' order."""
    values, sizes = np.unique(key, return_counts=True)
    order = values if by_name else values[np.argsort(-sizes, kind="stable")][:MOST_PARTS]
    counted = {dimension: _counted(rows, dimension, key, len(names)) for dimension in Dimension}
    total = _by_exposure(rows, key, len(names), np.ones(len(key), bool))
    found = [
        Part(
            names[value],
            exposure,
            int(total[number, value]),
            {d: _share_of(counted[d], number, value) for d in Dimension},
        )
        for value in order.tolist()
        for number, exposure in enumerate(Exposure)
        if total[number, value]
    ]
    return Parts(found, len(values) - len(order))


def _share_of(counted: tuple[Counts, Counts], exposure: int, value: int) -> Share:
    right, of = counted
    return share(int(right[exposure, value]), int(of[exposure, value]))


def _counted(rows: Beside, dimension: Dimension, key: NDArray[np.integer], size: int) -> tuple[Counts, Counts]:
    both = rows.compared(dimension)
    return _by_exposure(rows, key, size, both & rows.agrees(dimension)), _by_exposure(rows, key, size, both)


def _by_exposure(rows: Beside, key: NDArray[np.integer], size: int, where: NDArray[np.bool_]) -> Counts:
    """How many of the rows `where` have each exposure (row) and value of `key` (column)."""
    cells = rows.exposure[where].astype(np.int64) * size + key[where]
    return np.bincount(cells, minlength=len(Exposure) * size).reshape(len(Exposure), size)
