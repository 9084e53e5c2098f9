"""A desk for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.ledger import Ledger
from tests.unit.jobs.desk import START, Desk, Studio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    now = [START]
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: now[0])
    yield Desk(ledger, Studio(), now)
    ledger.close()
