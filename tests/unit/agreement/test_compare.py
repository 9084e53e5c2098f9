"""A model's labels beside a person's, dimension by dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agreement.compare import Comparison, Tally, compare, compare_labels, tally
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from backend.types import Labels

TA, MQ, VQ, OA = Dimension
TIE, VIDEO_1, VIDEO_2 = Preference
LABELS = st.dictionaries(st.sampled_from(list(Dimension)), st.sampled_from(list(Preference)))


@pytest.mark.parametrize(
    ("model", "human", "comparison"),
    [
        (TIE, TIE, Comparison.AGREE),
        (VIDEO_1, VIDEO_1, Comparison.AGREE),
        (VIDEO_2, VIDEO_2, Comparison.AGREE),
        (VIDEO_1, VIDEO_2, Comparison.FLIP),
        (VIDEO_2, VIDEO_1, Comparison.FLIP),
        (TIE, VIDEO_1, Comparison.MODEL_TIE),
        (TIE, VIDEO_2, Comparison.MODEL_TIE),
        (VIDEO_1, TIE, Comparison.HUMAN_TIE),
        (VIDEO_2, TIE, Comparison.HUMAN_TIE),
        (None, VIDEO_1, Comparison.MISSING),
        (TIE, None, Comparison.MISSING),
        (None, None, Comparison.MISSING),
    ],
)
def test_two_labels_agree_or_differ_in_one_way(
    model: Preference | None, human: Preference | None, comparison: Comparison
) -> None:
    assert compare_labels(model, human) is comparison


def test_labels_are_compared_in_the_card_s_order_and_absent_ones_are_missing() -> None:
    result = compare({OA: VIDEO_1, TA: VIDEO_1, MQ: TIE}, {TA: VIDEO_2, MQ: VIDEO_1, VQ: TIE})
    assert list(result.items()) == [
        (TA, Comparison.FLIP),
        (MQ, Comparison.MODEL_TIE),
        (VQ, Comparison.MISSING),
        (OA, Comparison.MISSING),
    ]


def test_the_confusion_has_the_model_in_its_rows_and_the_person_in_its_columns() -> None:
    counts = tally([({TA: VIDEO_1}, {TA: VIDEO_2}), ({TA: VIDEO_1}, {TA: VIDEO_2}), ({TA: TIE}, {TA: VIDEO_1})])
    assert counts[TA].confusion == ((0, 1, 0), (0, 0, 2), (0, 0, 0))
    assert (counts[TA].compared, counts[TA].missing) == (3, 0)
    assert counts[MQ] == Tally(missing=3)


def test_nothing_judged_is_a_tally_of_zeros() -> None:
    counts = tally([])
    assert list(counts) == list(Dimension)
    assert counts[OA].confusion == ((0, 0, 0), (0, 0, 0), (0, 0, 0))


@given(st.lists(st.tuples(LABELS, LABELS), max_size=20))
def test_counts_add_up_to_what_was_judged(judged: list[tuple[Labels, Labels]]) -> None:
    for dimension, counts in tally(judged).items():
        assert counts.compared == sum(map(sum, counts.confusion))
        assert counts.compared + counts.missing == len(judged)
        for comparison in Comparison:
            one_by_one = [compare(model, human)[dimension] for model, human in judged]
            assert counts.count(comparison) == one_by_one.count(comparison)
