"""How Hypothesis runs here, and a client of the Label Studio that a test fakes.

Hypothesis has no deadlines, because a busy machine is not a failing test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.unit.label_studio.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.label_studio.client import LabelStudioClient
    from tests.unit.label_studio.fake_label_studio import FakeLabelStudio
    from tests.unit.label_studio.servers import Served

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def served(fake: FakeLabelStudio) -> Iterator[Served]:
    """The Label Studio that a file's fixture `fake` describes, over real HTTP."""
    with serving(fake) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[LabelStudioClient]:
    """The product's client of that Label Studio."""
    from backend.label_studio.client import LabelStudioClient  # most tests here need no Label Studio

    client = LabelStudioClient(served.url, "legacy-token")
    yield client
    client.close()
