"""A model's labels beside one person's: what they agree on and how they differ."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from backend.types import Labels


class Comparison(StrEnum):
    """How the model's label for one dimension stands to a person's."""

    AGREE = "agree"
    FLIP = "flip"  # opposite winners
    MODEL_TIE = "model_tie"  # the person sees a winner
    HUMAN_TIE = "human_tie"  # the model sees a winner
    MISSING = "missing"  # one of them gave no label


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
