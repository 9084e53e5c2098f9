"""What `--filter` means, and what it does not take."""

from __future__ import annotations

import pytest

from backend.errors import SettingsError
from backend.label_studio.records import TaskFilter
from backend.label_studio.selection import Selection, parse_selection


@pytest.mark.parametrize(
    ("conditions", "selection"),
    [
        ((), Selection()),
        (("id=5",), Selection(ids=(5,))),
        (("id=9, 5,7",), Selection(ids=(5, 7, 9))),
        (("id=1-3,7",), Selection(ids=(1, 2, 3, 7))),
        (("id=1-3,7", "id=3,7,8"), Selection(ids=(3, 7))),
        (("tab=12",), Selection(tab=12)),
        (("tab=12", "tab=12", "id=5"), Selection(ids=(5,), tab=12)),
        (("annotated=no",), Selection((TaskFilter("total_annotations", "equal", "Number", 0),))),
        (("prompt~red = blue",), Selection((TaskFilter("data.prompt", "contains", "String", "red = blue"),))),
        (("data.id=x7",), Selection((TaskFilter("data.id", "equal", "String", "x7"),))),
        (("take=2.5",), Selection((TaskFilter("data.take", "regex", "String", r"^2\.5$"),))),
        (("take!=1",), Selection((TaskFilter("data.take", "regex", "String", "^(?!1$)"),))),
        (("set!=b",), Selection((TaskFilter("data.set", "not_equal", "String", "b"),))),
    ],
)
def test_conditions_are_read(conditions: tuple[str, ...], selection: Selection) -> None:
    assert parse_selection(conditions) == selection


def test_a_long_range_stays_two_conditions() -> None:
    found = parse_selection(["id=1-900000"])
    assert [(one.operator, one.value) for one in found.filters] == [("greater_or_equal", 1), ("less_or_equal", 900000)]
    assert found.ids is None


def test_two_tabs_are_refused_because_only_one_would_count() -> None:
    with pytest.raises(SettingsError, match="two tabs, 3 and 4"):
        parse_selection(["tab=3", "prompt~panda", "tab=4"])


@pytest.mark.parametrize(
    "condition",
    ["", "red", "prompt=", "=x", "id=7-3", "id=a", "id~3", "tab=first", "annotated=perhaps", "id=1,2-90000"],
)
def test_what_is_not_understood_is_quoted_with_what_is(condition: str) -> None:
    with pytest.raises(SettingsError, match="--filter"):
        parse_selection([condition])
