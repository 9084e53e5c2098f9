"""Every answer beside a judgement is counted once, as what it is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backend.agreement.compare import Comparison, compare_labels
from backend.report.agreement import Beside, groups
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from backend.report.measure import Labels

LABEL = st.sampled_from([None, *Preference])
Pairs = list[tuple[Preference | None, Preference | None]]


def rows_of(pairs: Pairs) -> Beside:
    """An answer for each (model's label, person's label), the same for every dimension."""

    def numbers(labels: list[Preference | None]) -> Labels:
        return np.array([-1 if label is None else label for label in labels], np.int8)

    count = len(pairs)
    model, human = numbers([one for one, _ in pairs]), numbers([other for _, other in pairs])
    return Beside(
        answer=np.arange(count, dtype=np.int32),
        task=np.arange(count, dtype=np.int64),
        annotator=np.zeros(count, np.int32),
        source=np.zeros(count, np.int32),
        prompt=np.zeros(count, np.int32),
        created=np.zeros(count, np.int64),
        exposure=np.zeros(count, np.int8),
        model=dict.fromkeys(Dimension, model),
        human=dict.fromkeys(Dimension, human),
        confidence=dict.fromkeys(Dimension, np.full(count, 0.9)),
        margin=dict.fromkeys(Dimension, np.full(count, 0.1)),
    )


@given(st.lists(st.tuples(LABEL, LABEL), min_size=1, max_size=20))
def test_counts_add_up_to_what_was_judged(pairs: Pairs) -> None:
    [group] = groups(rows_of(pairs))
    one_by_one = Counter(compare_labels(model, human) for model, human in pairs)
    for found in group.dimensions.values():
        assert found.comparisons == {comparison: one_by_one[comparison] for comparison in Comparison}
        assert found.confusion == [[pairs.count((model, human)) for human in Preference] for model in Preference]
        assert found.compared == sum(map(sum, found.confusion))
        assert found.compared + found.missing == len(pairs)
