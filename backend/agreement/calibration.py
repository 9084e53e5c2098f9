"""What a model's confidence is worth: the share of people who agreed when it was so sure. Pure.

Platt scaling (Platt, 1999): a logistic curve through (confidence, agreed), of two parameters, so that a hundred answers
do. It rises, so calibrated scores sort tasks just as the raw ones do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_ANSWERS = 100
LEAST_OF_EACH = 10  # that agreed, and that did not
STEPS = 100
ENOUGH = 1e-9
MARGIN = 1.0  # standard errors of the gain: without it one in four models that need no curve gets one by luck
EDGE = 1e-6  # a confidence of exactly 0 or 1 has no logit

Points: TypeAlias = "Sequence[tuple[float, bool]]"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A curve from a raw score to how likely a person agrees with the whole judgement."""

    slope: float
    intercept: float

    def calibrated(self, score: float) -> float:
        """The probability for a raw score, both in 0..1."""
        return _logistic(self.slope * _logit(score) + self.intercept)


@dataclass(frozen=True, slots=True)
class Fit:
    """A curve, how many answers it is of, and the Brier scores on answers it did not see, without and with it."""

    calibration: Calibration
    answers: int
    brier_before: float
    brier: float


def fit(points: Points) -> Fit | None:
    """The curve through points (raw score, whether the person agreed).

    None while there are too few answers, where more confidence does not mean more agreement, or where the curve is not
    clearly better than the raw score on answers it has not seen (each half judged by the curve of the other).
    """
    agreed = sum(1 for _, one in points if one)
    if len(points) < LEAST_ANSWERS or min(agreed, len(points) - agreed) < LEAST_OF_EACH:
        return None
    halves = points[::2], points[1::2]
    curves = [_curve(half) for half in halves]
    whole = _curve(points)
    unseen = zip(halves, reversed(curves), strict=True)
    gains = [gain for half, curve in unseen for gain in _gains(half, curve)]
    if whole.slope <= 0 or fmean(gains) <= MARGIN * stdev(gains) / math.sqrt(len(gains)):
        return None
    before = brier(points)
    return Fit(whole, len(points), before, before - fmean(gains))


def brier(points: Points, calibration: Calibration | None = None) -> float:
    """The mean squared distance between score and outcome; smaller is better, 0.25 is a coin's."""
    scores = [calibration.calibrated(score) if calibration else score for score, _ in points]
    return fmean(_error(score, agreed) for score, (_, agreed) in zip(scores, points, strict=True))


def _gains(points: Points, curve: Calibration) -> list[float]:
    """How much smaller each point's squared distance is with the curve."""
    return [_error(score, agreed) - _error(curve.calibrated(score), agreed) for score, agreed in points]


def _error(score: float, agreed: bool) -> float:
    return (score - agreed) ** 2


def _curve(points: Points) -> Calibration:
    """Maximum likelihood by Newton's method, with Platt's smoothed targets, which keep it finite."""
    agreed = sum(1 for _, one in points if one)
    high, low = (agreed + 1) / (agreed + 2), 1 / (len(points) - agreed + 2)
    known = [(_logit(score), high if one else low) for score, one in points]
    slope, intercept = 0.0, _logit((agreed + 1) / (len(points) + 2))
    for _ in range(STEPS):
        step = _newton_step(known, slope, intercept)
        slope, intercept = slope - step[0], intercept - step[1]
        if max(map(abs, step)) < ENOUGH:
            break
    return Calibration(slope, intercept)


def _newton_step(known: Sequence[tuple[float, float]], slope: float, intercept: float) -> tuple[float, float]:
    gradient_s = gradient_i = curve_ss = curve_si = curve_ii = 0.0
    for x, target in known:
        p = _logistic(slope * x + intercept)
        weight = max(p * (1 - p), EDGE)
        gradient_s, gradient_i = gradient_s + (p - target) * x, gradient_i + (p - target)
        curve_ss, curve_si, curve_ii = curve_ss + weight * x * x, curve_si + weight * x, curve_ii + weight
    curve_ss, curve_ii = curve_ss + EDGE, curve_ii + EDGE  # invertible also when every score is the same
    determinant = curve_ss * curve_ii - curve_si * curve_si
    return (
        (curve_ii * gradient_s - curve_si * gradient_i) / determinant,
        (curve_ss * gradient_i - curve_si * gradient_s) / determinant,
    )


def _logit(probability: float) -> float:
    inside = min(max(probability, EDGE), 1 - EDGE)
    return math.log(inside / (1 - inside))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
