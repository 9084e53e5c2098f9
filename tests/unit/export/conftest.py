"""People with an empty ledger, for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.ledger import Ledger
from tests.unit.export.people import People

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield People(ledger)
    ledger.close()
