"""The bench runs the real command on a ledger that it fills by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.bench.export import PROJECT, measure
from backend.ledger import Ledger
from tests.unit.export.test_dataset import rows

if TYPE_CHECKING:
    from pathlib import Path


def test_every_figure_is_measured_on_answers_that_are_really_exported(tmp_path: Path) -> None:
    figures = list(measure(tmp_path, 12))
    assert all(one.value > 0 for one in figures)
    assert [one.limit for one in figures if one.limit] == [60, 500]
    found = rows(tmp_path / "set")
    assert len(found) == 12
    assert [row["task"] for row in found if row["disagrees"]] == [2, 5, 8, 11]
    assert {row["exposure"] for row in found} == {"shown"}
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    assert len(ledger.exported(PROJECT)) == 12
    ledger.close()
