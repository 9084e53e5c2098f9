"""A model's labels beside a person's, dimension by dimension."""

from __future__ import annotations

import pytest

from backend.agreement.compare import Comparison, compare, compare_labels
from backend.types import Dimension, Preference

TA, MQ, VQ, OA = Dimension
TIE, VIDEO_1, VIDEO_2 = Preference


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
