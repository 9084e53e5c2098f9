"""A random checkpoint, written once and loaded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.checkpoints import Checkpoint, load_checkpoint, write_random_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("random"), seed=7)


@pytest.fixture(scope="session")
def checkpoint(folder: Path) -> Checkpoint:
    return load_checkpoint(folder)
