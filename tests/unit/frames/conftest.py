"""The test clips, made once per run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clips import Clips

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    folder: Path = tmp_path_factory.mktemp("clips")
    return Clips(folder)
