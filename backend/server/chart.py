"""Agreement as a table and a chart: plain numbers that the template draws, one bar per dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.agreement.compare import Comparison
from backend.label_studio.controls import DIMENSION_TITLES
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backend.ledger import Agreement

WORDS = {
    Comparison.AGREE: "the same",
    Comparison.MODEL_TIE: "tie for the model only",
    Comparison.HUMAN_TIE: "tie for the person only",
    Comparison.FLIP: "opposite",
}
WIDTH = 100.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar; `x` and `width` are in hundredths of the bar."""

    kind: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One dimension: its name, how many answers count, the share that agrees, and the pieces of its bar."""

    name: str
    compared: int
    share: float | None
    segments: tuple[Segment, ...]

    @property
    def sentence(self) -> str:
        """The bar in words, for those who do not see it."""
        pieces = ", ".join(f"{piece.count} {WORDS[Comparison(piece.kind)]}" for piece in self.segments)
        return f"{self.name}: {pieces or 'no answers yet'}"


class AgreementView:
    """What people answered beside the judgements of one model version, shown ones or those of the blind slice."""

    def __init__(self, agreement: Agreement) -> None:
        self.shown = agreement.shown
        self.answers = agreement.answers
        self.bars = [_bar(dimension, agreement.counts[dimension]) for dimension in Dimension]


def _bar(dimension: Dimension, counts: Mapping[Comparison, int]) -> Bar:
    compared = sum(counts.get(kind, 0) for kind in WORDS)
    share = counts.get(Comparison.AGREE, 0) / compared if compared else None
    return Bar(DIMENSION_TITLES[dimension].capitalize(), compared, share, tuple(_segments(counts, compared)))


def _segments(counts: Mapping[Comparison, int], compared: int) -> Iterator[Segment]:
    x = 0.0
    for kind in WORDS:
        if count := counts.get(kind, 0):
            width = WIDTH * count / compared
            yield Segment(kind.value, count, round(x, 3), round(width, 3))
            x += width
