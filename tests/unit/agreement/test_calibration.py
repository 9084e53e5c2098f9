"""A calibrated score is the share of people who agreed, and sorts as the raw one."""

from __future__ import annotations

import math
import random

import pytest

from backend.agreement.calibration import LEAST_ANSWERS, Calibration, brier, fit


def points(count: int, slope: float, intercept: float, seed: int = 1) -> list[tuple[float, bool]]:
    """Made-up answers to a model whose confidence stands to the truth by this curve."""
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    truth = Calibration(slope, intercept)
    scores = [chance.uniform(0.34, 0.99) for _ in range(count)]
    return [(score, chance.random() < truth.calibrated(score)) for score in scores]


def test_an_overconfident_model_is_brought_down_to_what_happened() -> None:
    known = points(4000, slope=0.6, intercept=-0.4)
    found = fit(known)
    assert found is not None
    assert found.calibration.slope == pytest.approx(0.6, abs=0.1)
    assert found.calibration.intercept == pytest.approx(-0.4, abs=0.15)
    assert found.brier < found.brier_before == pytest.approx(brier(known))
    mean = sum(found.calibration.calibrated(score) for score, _ in known) / len(known)
    assert mean == pytest.approx(sum(agreed for _, agreed in known) / len(known), abs=0.005)


def test_it_is_logistic_regression_as_scikit_learn_does_it() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    known = points(3000, slope=0.8, intercept=-0.7)
    reference = linear_model.LogisticRegression(C=1e6, tol=1e-8)
    reference.fit([[math.log(score / (1 - score))] for score, _ in known], [agreed for _, agreed in known])
    found = fit(known)
    assert found is not None
    assert found.calibration.slope == pytest.approx(float(reference.coef_[0][0]), abs=0.02)
    assert found.calibration.intercept == pytest.approx(float(reference.intercept_[0]), abs=0.02)


def test_the_order_of_tasks_stays() -> None:
    found = fit(points(500, slope=0.5, intercept=0.0))
    assert found is not None
    scores = [found.calibration.calibrated(n / 1000) for n in range(1001)]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert 0 < scores[0] < scores[-1] < 1


@pytest.mark.parametrize(
    "known",
    [
        [],
        points(LEAST_ANSWERS - 1, slope=0.6, intercept=-0.4),
        [(0.9, True)] * 500,
        [(0.9, False)] * 500,
        points(1000, slope=-1.0, intercept=0.0),
        points(400, slope=1.0, intercept=0.0, seed=5),
    ],
    ids=["no answers", "too few", "all agreed", "none agreed", "sure means wrong", "right already"],
)
def test_a_curve_that_is_not_better_is_not_used(known: list[tuple[float, bool]]) -> None:
    found = fit(known)
    assert found is None or found.brier < found.brier_before


@pytest.mark.parametrize("count", [100, 200])
def test_a_model_that_needs_no_curve_hardly_ever_gets_one_by_luck(count: int) -> None:
    found = [fit(points(count, slope=1.0, intercept=0.0, seed=seed)) for seed in range(100)]
    assert sum(one is not None for one in found) <= 8


def test_too_few_answers_give_no_curve() -> None:
    assert fit(points(LEAST_ANSWERS - 1, slope=0.6, intercept=-0.4)) is None
    assert fit([(0.9, True)] * 500) is None
    assert fit(points(1000, slope=-1.0, intercept=0.0)) is None


def test_scores_that_are_all_the_same_break_nothing() -> None:
    found = fit([(1.0, number % 3 > 0) for number in range(300)])
    assert found is None or 0 <= found.calibration.calibrated(1.0) <= 1
