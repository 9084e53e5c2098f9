"""One project per test, in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.report.project import SmallProject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Iterator[SmallProject]:
    small = SmallProject(tmp_path)
    yield small
    small.ledger.close()
