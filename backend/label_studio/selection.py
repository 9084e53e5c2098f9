"""Which tasks of a project are meant: `--filter` as a project manager writes it -> Label Studio's own conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.errors import SettingsError
from backend.label_studio.records import TaskFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

CONDITION = re.compile(r"\s*([\w.]+)\s*(!=|~|=)(.*)", re.DOTALL)
OPERATORS = {"=": "equal", "!=": "not_equal", "~": "contains"}
NUMBER = re.compile(r"-?\d+(\.\d+)?")
RANGE = re.compile(r"(\d+)(?:-(\d+))?")
MOST_IDS = 10_000  # two hundred go into one request
ANNOTATED = {"yes": "greater", "no": "equal"}
HELP = (
    "Write id=5,9 or id=100-200, tab=3 (the number after ?tab= of a Data Manager tab), annotated=no, or a field of the "
    "tasks' data: key=value, key!=value, key~part."
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Tasks that meet all `filters`, are among `ids` and are shown in the saved tab `tab`, where those are given."""

    filters: tuple[TaskFilter, ...] = ()
    ids: tuple[int, ...] | None = None
    tab: int | None = None

    @property
    def everything(self) -> bool:
        """Whether it leaves nothing out."""
        return self == Selection()


def parse_selection(conditions: Iterable[str]) -> Selection:
    """What these conditions select together.

    Raises:
        SettingsError: one is not understood; says how to write it. Or they name two tabs.
    """
    filters: list[TaskFilter] = []
    ids: tuple[int, ...] | None = None
    tab: int | None = None
    for condition in conditions:
        name, sign, value = _parts(condition)
        if name == "tab" and sign == "=" and value.isdecimal():
            tab = _one_tab(tab, int(value))
        elif name == "id" and sign == "=":
            more, some = _ids(condition, value)
            filters += more
            ids = some if ids is None else tuple(sorted(set(ids) & set(some or ids)))
        elif name == "annotated" and sign == "=" and value in ANNOTATED:
            filters.append(TaskFilter("total_annotations", ANNOTATED[value], "Number", 0))
        elif name in ("tab", "id", "annotated"):
            raise SettingsError(f"--filter {condition!r} is not understood. {HELP}")
        else:
            filters.append(_field(name if name.startswith("data.") else f"data.{name}", sign, value))
    return Selection(tuple(filters), ids, tab)


def _one_tab(before: int | None, tab: int) -> int:
    if before not in (None, tab):
        raise SettingsError(
            f"--filter names two tabs, {before} and {tab}; all filters have to hold together, and only one tab can be "
            "asked for. Give one, and say the rest by further filters."
        )
    return tab


def _field(key: str, sign: str, value: str) -> TaskFilter:
    """A condition on the tasks' data; `equal` never finds a JSON number in Label Studio, `regex` finds its digits."""
    if sign != "~" and NUMBER.fullmatch(value):
        digits = re.escape(value)
        return TaskFilter(key, "regex", "String", f"^{digits}$" if sign == "=" else f"^(?!{digits}$)")
    return TaskFilter(key, OPERATORS[sign], "String", value)


def _parts(condition: str) -> tuple[str, str, str]:
    match = CONDITION.fullmatch(condition)
    if match is None or not match[3].strip():
        raise SettingsError(f"--filter {condition!r} is not understood. {HELP}")
    return match[1], match[2], match[3].strip()


def _ids(condition: str, value: str) -> tuple[list[TaskFilter], tuple[int, ...] | None]:
    """A single range as conditions, so that it may be of any length; anything else as the ids themselves."""
    matches = [RANGE.fullmatch(part.strip()) for part in value.split(",")]
    ranges = [(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    if len(ranges) < len(matches) or any(first > last for first, last in ranges):
        raise SettingsError(f"--filter {condition!r} names no ids. {HELP}")
    if len(ranges) == 1 and ranges[0][0] < ranges[0][1]:
        first, last = ranges[0]
        lowest = TaskFilter("id", "greater_or_equal", "Number", first)
        return [lowest, TaskFilter("id", "less_or_equal", "Number", last)], None
    if sum(last - first + 1 for first, last in ranges) > MOST_IDS:
        raise SettingsError(f"--filter {condition!r} names more than {MOST_IDS} ids. Give one range at a time.")
    return [], tuple(sorted({number for first, last in ranges for number in range(first, last + 1)}))
