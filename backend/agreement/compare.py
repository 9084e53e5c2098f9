"""A model's labels beside one person's: what they agree on, how they differ, and counts of both."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from backend.types import Labels


class Comparison(StrEnum):
    """How the model's label for one dimension stands to a person's."""

    AGREE = "agree"
    FLIP = "flip"  # opposite winners
    MODEL_TIE = "model_tie"  # the person sees a winner
    HUMAN_TIE = "human_tie"  # the model sees a winner
    MISSING = "missing"  # one of them gave no label


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts for one dimension; `pairs` counts each (model's label, person's label) that occurs."""

    pairs: Mapping[tuple[Preference, Preference], int] = field(default_factory=dict)
    missing: int = 0

    @property
    def confusion(self) -> tuple[tuple[int, ...], ...]:
        """3 x 3 counts: rows are the model's labels, columns the person's, both in the order tie, Video 1, Video 2."""
        return tuple(tuple(self.pairs.get((model, human), 0) for human in Preference) for model in Preference)

    @property
    def compared(self) -> int:
        """How many times both gave a label."""
        return sum(self.pairs.values())

    def count(self, comparison: Comparison) -> int:
        """How often this comparison came out."""
        if comparison is Comparison.MISSING:
            return self.missing
        return sum(number for pair, number in self.pairs.items() if compare_labels(*pair) is comparison)


def compare_labels(model: Preference | None, human: Preference | None) -> Comparison:
    """The comparison of one label with another; None where there is none."""
    if model is None or human is None:
        return Comparison.MISSING
    if model == human:
        return Comparison.AGREE
    if model == Preference.TIE:
        return Comparison.MODEL_TIE
    return Comparison.HUMAN_TIE if human == Preference.TIE else Comparison.FLIP


def compare(model: Labels, human: Labels) -> dict[Dimension, Comparison]:
    """The comparison per dimension, in the card's order; a dimension that either lacks is `missing`."""
    return {dimension: compare_labels(model.get(dimension), human.get(dimension)) for dimension in Dimension}


def tally(judged: Iterable[tuple[Labels, Labels]]) -> dict[Dimension, Tally]:
    """Counts per dimension over many (model's labels, person's labels)."""
    pairs: dict[Dimension, Counter[tuple[Preference, Preference]]] = {dimension: Counter() for dimension in Dimension}
    missing: Counter[Dimension] = Counter()
    for model, human in judged:
        for dimension in Dimension:
            ours, theirs = model.get(dimension), human.get(dimension)
            if ours is None or theirs is None:
                missing[dimension] += 1
            else:
                pairs[dimension][ours, theirs] += 1
    return {dimension: Tally(dict(pairs[dimension]), missing[dimension]) for dimension in Dimension}
