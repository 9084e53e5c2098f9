"""A fetcher whose Label Studio is a local server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from backend.label_studio.media import MediaFetcher

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKEN = {"Authorization": "Token label-studio-secret"}
MakeFetcher: TypeAlias = "Callable[..., MediaFetcher]"


def authorization(url: str) -> Mapping[str, str]:
    """The token for every address it is asked for: whether to ask is the fetcher's business."""
    return TOKEN


@pytest.fixture
def make_fetcher(tmp_path: Path) -> MakeFetcher:
    """Makes fetchers that share a cache, as processes do."""

    def make(label_studio_url: str, **options: Any) -> MediaFetcher:  # noqa: ANN401  # passed on
        limits = {"max_bytes": 2_000_000_000, "timeout_s": 20.0, "cache_bytes": 20_000_000_000}
        settings = {"cache_dir": tmp_path / "cache", **limits, **options}
        return MediaFetcher(label_studio_url=label_studio_url, authorization=authorization, **settings)

    return make
