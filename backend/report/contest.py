"""Two model versions on the very same answers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from backend.report.exposure import Exposure
from backend.report.figures import Contest
from backend.report.measure import paired
from backend.types import Dimension

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backend.report.agreement import Beside
    from backend.report.measure import Paired


class Seen(StrEnum):
    """Which of the two judgements people had before them: it pulls their answers to its side."""

    BLIND = "neither (blind)"
    FIRST = "the first"
    SECOND = "the second"
    UNLINKED = "unknown"


def contests(first: Beside, first_name: str, second: Beside, second_name: str) -> list[Contest]:
    """One contest for each kind of answers that both versions can be compared with."""
    _, one, two = np.intersect1d(first.answer, second.answer, assume_unique=True, return_indices=True)
    seen = _seen(first, second, one, two)
    found = []
    for kind in Seen:
        mine = seen == kind
        if mine.any():
            dimensions = {d: _paired(first, second, one[mine], two[mine], d) for d in Dimension}
            found.append(Contest(first_name, second_name, kind, int(mine.sum()), dimensions))
    return found


def _seen(first: Beside, second: Beside, one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.object_]:
    blind = first.of(Exposure.BLIND)[one] & second.of(Exposure.BLIND)[two]
    known = [first.of(Exposure.SHOWN)[one], second.of(Exposure.SHOWN)[two], blind]
    return np.select(known, [Seen.FIRST, Seen.SECOND, Seen.BLIND], Seen.UNLINKED).astype(object)


def _paired(
    first: Beside, second: Beside, one: NDArray[np.int64], two: NDArray[np.int64], dimension: Dimension
) -> Paired:
    both = first.compared(dimension)[one] & second.compared(dimension)[two]
    return paired(first.agrees(dimension)[one][both], second.agrees(dimension)[two][both])
