"""Each statistic against values worked out by hand or taken from textbooks, and against what must hold for any data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend.report.measure import alpha, calibration, confusion_of, kappa, paired, scored, share

LABEL = st.integers(0, 2)
PAIRS = st.lists(st.tuples(LABEL, LABEL), max_size=40)
MARGINS = st.lists(st.tuples(st.sampled_from([-0.9, -0.4, -0.1, 0.0, 0.1, 0.4, 0.9, math.nan]), LABEL), max_size=12)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (8, 10, 0.490, 0.943),
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1.0),
        (81, 263, 0.255, 0.366),  # Newcombe 1998, table I, method 3
        (15, 148, 0.062, 0.161),  # the same
        (1, 29, 0.006, 0.172),  # the same
    ],
)
def test_a_share_has_its_wilson_interval(count: int, of: int, low: float, high: float) -> None:
    found = share(count, of)
    assert (found.value, found.low, found.high) == pytest.approx((count / of, low, high), abs=0.0006)


def test_a_share_of_nothing_has_no_value() -> None:
    assert (share(0, 0).value, share(0, 0).low, share(0, 0).high) == (None, None, None)


def test_confusion_has_the_model_in_rows_and_people_in_columns() -> None:
    found = confusion_of(np.array([1, 1, 2, 0], np.int8), np.array([1, 2, 2, 1], np.int8))
    assert found.tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize(
    ("confusion", "value"),
    [
        ([[20, 5, 0], [10, 15, 0], [0, 0, 0]], 0.4),  # observed 0.7, by chance 0.5
        ([[0, 0, 0], [0, 0, 10], [0, 10, 0]], -1.0),
        ([[4, 2, 2], [1, 5, 1], [1, 1, 3]], 0.398),  # observed 0.6, by chance 0.335
    ],
)
def test_kappa_is_agreement_beyond_chance(confusion: list[list[int]], value: float) -> None:
    found = kappa(np.array(confusion))
    assert found.value == pytest.approx(value, abs=0.0005)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= value <= found.high <= 1


def test_complete_agreement_has_no_interval() -> None:
    found = kappa(np.diag([0, 25, 25]))
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert "every answer" in found.missing


def test_the_interval_of_kappa_is_that_of_the_large_sample_formula() -> None:
    # Fleiss, Cohen and Everitt 1969, worked out for observed 0.7 and both sides' frequencies
    found = kappa(np.array([[20, 5, 0], [10, 15, 0], [0, 0, 0]]))
    assert (found.low, found.high) == pytest.approx((0.151, 0.649), abs=0.0005)


@pytest.mark.parametrize(
    ("confusion", "value", "says"),
    [
        ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], None, "No answers"),
        ([[0, 0, 0], [0, 9, 0], [0, 0, 0]], None, "one and the same label"),
        ([[0, 0, 0], [0, 9, 3], [0, 0, 0]], 0.0, "no interval"),
    ],
)
def test_a_kappa_that_is_not_defined_says_so(confusion: list[list[int]], value: float | None, says: str) -> None:
    found = kappa(np.array(confusion))
    assert found.value == value
    assert found.low is None
    assert says in found.missing


@pytest.mark.parametrize(
    ("values", "value"),
    [
        ([[2, 0, 0], [0, 2, 0], [1, 1, 0]], 0.444),  # observed disagreement 2/6, expected 18/30
        ([[2, 0, 0], [0, 2, 0], [0, 0, 2]], 1.0),
        ([[2, 0, 0], [0, 2, 0], [1, 1, 0], [0, 0, 1]], 0.444),  # a task with one answer tells nothing
        ([[3, 0, 0], [2, 1, 0], [0, 3, 0]], 0.6),  # observed 2/9, expected 40/72
    ],
)
def test_alpha_is_krippendorffs_for_labels_without_an_order(values: list[list[int]], value: float) -> None:
    assert alpha(np.array(values)).value == pytest.approx(value, abs=0.0005)


@pytest.mark.parametrize(
    ("values", "says"),
    [([], "two people"), ([[1, 0, 0], [0, 1, 0]], "two people"), ([[2, 0, 0], [3, 0, 0]], "one and the same label")],
)
def test_an_alpha_that_is_not_defined_says_so(values: list[list[int]], says: str) -> None:
    found = alpha(np.array(values, np.int64).reshape(-1, 3))
    assert found.value is None
    assert says in found.missing


@pytest.mark.parametrize(
    ("margins", "human", "with_ties", "threshold", "without_ties"),
    [
        ([0.8, -0.6, 0.1, -0.05], [1, 2, 0, 0], 1.0, 0.1, (2, 2)),
        ([0.5, 0.5, -0.5], [1, 0, 2], 2 / 3, None, (2, 2)),  # equal margins are ties together or not at all
        ([0.2, 0.3], [0, 0], 1.0, 0.3, (0, 0)),
        ([0.2, -0.3], [2, 2], 0.5, None, (1, 2)),
        ([0.0], [1], 0.0, None, (0, 1)),  # no winner where the person sees one
        ([0.0, 0.9], [0, 2], 0.5, 0.0, (0, 1)),
        ([math.nan, 0.9], [1, 1], 1.0, None, (1, 1)),
    ],
)
def test_accuracy_by_margin_is_the_benchmarks(
    margins: list[float],
    human: list[int],
    with_ties: float,
    threshold: float | None,
    without_ties: tuple[int, int],
) -> None:
    found = scored(np.array(margins), np.array(human, np.int8))
    assert found.with_ties == pytest.approx(with_ties)
    assert found.threshold == threshold
    assert (found.without_ties.count, found.without_ties.of) == without_ties


def test_accuracy_by_margin_needs_odds() -> None:
    found = scored(np.array([math.nan]), np.array([1], np.int8))
    assert found.with_ties is None
    assert "no odds" in found.missing


@given(MARGINS)
def test_tie_calibration_finds_what_trying_every_threshold_finds(rows: list[tuple[float, int]]) -> None:
    known = [(margin, human) for margin, human in rows if not math.isnan(margin)]
    found = scored(np.array([m for m, _ in rows], float), np.array([h for _, h in rows], np.int8))
    assert found.of == len(known)
    if not known:
        return

    def accuracy(threshold: float) -> float:
        said = [0 if abs(m) <= threshold else 1 if m > 0 else 2 if m < 0 else None for m, _ in known]
        return sum(label == human for label, (_, human) in zip(said, known, strict=True)) / len(known)

    assert found.with_ties == pytest.approx(max(accuracy(t) for t in [-1.0, *(abs(m) for m, _ in known)]))
    assert found.with_ties == pytest.approx(accuracy(-1.0 if found.threshold is None else found.threshold))


def test_the_calibration_error_is_the_mean_distance_weighted_by_answers() -> None:
    found = calibration(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, False, True, True]))
    assert found.ece == pytest.approx(0.4)
    assert [(one.low, one.high, one.agreed.count, one.agreed.of) for one in found.bins] == [
        (0.5, 0.6, 2, 2),
        (0.8, 0.9, 1, 2),
    ]


@pytest.mark.parametrize("confidence", [0.0, 0.3, 1 / 3, 0.7, 1.0])
def test_every_confidence_has_a_bin_around_it(confidence: float) -> None:
    [found] = calibration(np.array([confidence]), np.array([True])).bins
    assert found.low <= confidence <= found.high
    assert found.confidence == pytest.approx(confidence)


def test_calibration_leaves_out_what_has_no_confidence() -> None:
    assert calibration(np.array([math.nan, 1.0]), np.array([False, True])).of == 1
    nothing = calibration(np.array([math.nan]), np.array([True]))
    assert nothing.ece is None
    assert "no confidence" in nothing.missing


@pytest.mark.parametrize(
    ("both", "first_only", "second_only", "neither", "p_value", "exact"),
    [
        (59, 6, 16, 80, 0.0525, True),  # twice the binomial tail: 2 * 110056 / 2**22
        (794, 86, 150, 570, 0.0000411, False),  # Agresti's approval ratings: chi-squared 63**2 / 236
        (5, 0, 1, 5, 1.0, True),
    ],
)
def test_mcnemar_looks_at_the_answers_on_which_one_version_is_right(
    both: int, first_only: int, second_only: int, neither: int, p_value: float, exact: bool
) -> None:
    counts = (both, first_only, second_only, neither)
    first, second = (np.repeat(side, counts) for side in ([True, True, False, False], [True, False, True, False]))
    found = paired(first, second)
    assert (found.both, found.first_only, found.second_only, found.neither) == counts
    assert found.p_value == pytest.approx(p_value, rel=0.002)
    assert found.exact is exact


@pytest.mark.parametrize(("answers", "says"), [(0, "No answers"), (4, "the very same answers")])
def test_mcnemar_without_a_difference_says_so(answers: int, says: str) -> None:
    found = paired(np.ones(answers, bool), np.ones(answers, bool))
    assert found.p_value is None
    assert says in found.missing


@given(PAIRS)
@example([(0, 0)] * 4 + [(1, 1), (2, 2)])  # a variance of zero that is computed as a little less
def test_no_data_makes_a_figure_that_is_not_a_number(pairs: list[tuple[int, int]]) -> None:
    model, human = (np.array([pair[side] for pair in pairs], np.int8) for side in (0, 1))
    counts = np.array([[(m == c) + (h == c) for c in range(3)] for m, h in pairs], np.int64).reshape(-1, 3)
    for found in (kappa(confusion_of(model, human)), alpha(counts)):
        assert (found.value is None) <= bool(found.missing)
        assert all(value is None or -1 <= value <= 1 for value in (found.value, found.low, found.high))
