"""Figures and the libraries that they come from: a value with its interval, or a sentence in its place, never a NaN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from backend.types import Preference

if TYPE_CHECKING:
    from numpy.typing import NDArray

Counts: TypeAlias = "NDArray[np.int64]"
Reals: TypeAlias = "NDArray[np.floating[Any]]"
Labels: TypeAlias = "NDArray[np.integer[Any]]"

BINS = 10
EXACT_BELOW = 25  # discordant answers: below that the chi-squared approximation of McNemar's test is poor
NO_ANSWERS = "No answers to compare."


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `of` with the 95 % Wilson score interval; without a value where `of` is 0."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval; `missing` says why there is no value, or no interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """Accuracy by the margin P(Video 1) - P(Video 2) in place of the label, the benchmark's way.

    `with_ties` is the highest three-class accuracy that any `threshold` reaches, below or at which a margin is a tie.
    """

    of: int
    without_ties: Share
    with_ties: float | None
    threshold: float | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence lies above `low`, up to `high`."""

    low: float
    high: float
    confidence: float
    agreed: Share


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error over the bins that hold answers."""

    of: int
    ece: float | None
    bins: Sequence[Bin]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Paired:
    """Two model versions on the same answers: how often both, one or neither gave the person's label."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float | None
    exact: bool
    missing: str = ""


def share(count: int, of: int) -> Share:
    """A proportion with its Wilson interval."""
    from statsmodels.stats.proportion import proportion_confint

    if of == 0:
        return Share(0, 0, None, None, None)
    low, high = proportion_confint(count, of, method="wilson")
    return Share(count, of, count / of, max(0.0, float(low)), min(1.0, float(high)))


def confusion_of(model: Labels, human: Labels) -> Counts:
    """3 x 3 counts, rows the model's labels, columns the person's, both in the order tie, Video 1, Video 2."""
    cells = np.bincount(model.astype(np.int64) * 3 + human, minlength=9)
    return cells.reshape(3, 3)


def kappa(confusion: Counts) -> Estimate:
    """Cohen's kappa with its large-sample interval."""
    from sklearn.metrics import cohen_kappa_score
    from statsmodels.stats.inter_rater import cohens_kappa

    used = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    if not confusion.any():
        return Estimate(missing=NO_ANSWERS)
    if len(used) == 1:
        return Estimate(missing="The model and people gave one and the same label only: chance agreement is complete.")
    model, human = np.divmod(np.arange(9), 3)
    value = float(cohen_kappa_score(model, human, labels=[0, 1, 2], sample_weight=confusion.ravel()))
    if 1 in (np.count_nonzero(confusion.sum(0)), np.count_nonzero(confusion.sum(1))):
        return Estimate(value, missing="One side gave a single label only, so there is no interval.")
    if np.trace(confusion) == confusion.sum():  # a variance of zero, which rounding may make negative
        return Estimate(value, missing="Both sides agree on every answer, so the large-sample interval has no width.")
    found = cohens_kappa(confusion)
    return Estimate(value, max(-1.0, float(found.kappa_low)), min(1.0, float(found.kappa_upp)))


def alpha(values: Counts) -> Estimate:
    """Krippendorff's alpha, nominal; `values` counts the labels (columns) that each task (row) was given."""
    import krippendorff

    pairable = values[values.sum(1) > 1]
    if not len(pairable):
        return Estimate(missing="No task has answers of two people.")
    if np.count_nonzero(pairable.sum(0)) == 1:
        return Estimate(missing="People gave one and the same label only: alpha is not defined.")
    return Estimate(float(krippendorff.alpha(value_counts=pairable, level_of_measurement="nominal")))


def scored(margin: Reals, human: Labels) -> Scored:
    """Both benchmark accuracies by margin; answers without odds have a NaN margin and are left out."""
    known = ~np.isnan(margin)
    margin, human = margin[known].astype(np.float64), human[known]
    if not len(margin):
        return Scored(0, share(0, 0), None, None, "The engine gave no odds for these answers.")
    right = np.where(margin > 0, Preference.VIDEO_1, Preference.VIDEO_2) == human
    right &= margin != 0  # no winner, where the person sees one
    decided = human != Preference.TIE
    accuracy, threshold = _calibrated(np.abs(margin), right & decided, ~decided)
    return Scored(len(margin), share(int(right[decided].sum()), int(decided.sum())), accuracy, threshold)


def _calibrated(size: Reals, right: NDArray[np.bool_], tie: NDArray[np.bool_]) -> tuple[float, float | None]:
    """The best accuracy over all thresholds on `size`, and the smallest threshold that gives it (None: no ties at all).

    Algorithm 1 of Deutsch et al., "Ties Matter" (arXiv 2305.14324): sorted by size, everything up to the threshold is
    a tie, right where the person says so too; everything above counts by its sign.
    """
    order = np.argsort(size, kind="stable")
    size, gained = size[order], tie[order].astype(np.int64) - right[order]
    correct = right.sum() + np.cumsum(gained)
    ends = np.flatnonzero(np.append(size[1:] != size[:-1], True))  # equal margins are ties together or not at all
    best = ends[np.argmax(correct[ends])]
    if right.sum() >= correct[best]:
        return float(right.sum() / len(size)), None
    return float(correct[best] / len(size)), float(size[best])


def calibration(confidence: Reals, agrees: NDArray[np.bool_]) -> Calibration:
    """Confidence beside the share that people agree with, in ten bins of equal width."""
    known = ~np.isnan(confidence)
    confidence, agrees = confidence[known].astype(np.float64), agrees[known]
    if not len(confidence):
        return Calibration(0, None, (), "The engine gave no confidence for these answers.")
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    sure = np.bincount(place, weights=confidence, minlength=BINS)
    right = np.bincount(place, weights=agrees, minlength=BINS)
    bins = tuple(
        Bin(n / BINS, (n + 1) / BINS, float(sure[n] / count[n]), share(int(right[n]), int(count[n])))
        for n in np.flatnonzero(count).tolist()
    )
    return Calibration(len(confidence), float(np.abs(right - sure).sum() / len(confidence)), bins)


def paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """McNemar's test on whether each of two versions gave the person's label, answer by answer."""
    from statsmodels.stats.contingency_tables import mcnemar

    cells = np.bincount(first.astype(np.int64) * 2 + second, minlength=4)
    neither, second_only, first_only, both = cells.tolist()
    exact = first_only + second_only < EXACT_BELOW
    if not len(first):
        return Paired(0, 0, 0, 0, None, exact, NO_ANSWERS)
    if first_only + second_only == 0:
        return Paired(both, 0, 0, neither, None, exact, "The two versions are right on the very same answers.")
    found = mcnemar([[both, first_only], [second_only, neither]], exact=exact, correction=True)
    return Paired(both, first_only, second_only, neither, float(found.pvalue), exact)
