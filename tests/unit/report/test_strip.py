"""Strips of real videos, and why some cannot be had."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from backend.label_studio.media.fetcher import MediaFetcher
from backend.report.strip import FRAMES, HEIGHT, strips_of
from backend.types import PairwiseTask
from tests.clips import Clips

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def fetcher(clips: Clips, tmp_path: Path) -> MediaFetcher:
    """A real one, for files below the clips' folder."""
    return MediaFetcher(
        label_studio_url="http://127.0.0.1:1",
        authorization=lambda _url: {},
        cache_dir=tmp_path / "cache",
        max_bytes=100_000_000,
        timeout_s=60,
        cache_bytes=100_000_000,
        roots=(clips.folder,),
    )


def pair(one: object, two: object) -> PairwiseTask:
    return PairwiseTask(7, 1, str(one), str(two), "a dog runs")


def test_a_pair_is_two_strips_in_the_videos_own_shape(clips: Clips, fetcher: MediaFetcher) -> None:
    clip = clips.clip("h264")
    strips = strips_of(pair(clip, clip), fetcher)
    assert strips.problem == ""
    pictures = [
        Image.open(BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) for uri in strips.pictures
    ]
    assert [picture.size for picture in pictures] == [(FRAMES * round(HEIGHT * 64 / 48), HEIGHT)] * 2


@pytest.mark.parametrize(("name", "says"), [("gone.mp4", "does not exist"), ("text.mp4", "text.mp4")])
def test_a_video_that_cannot_be_had_is_said(clips: Clips, fetcher: MediaFetcher, name: str, says: str) -> None:
    other = clips.other(name) if name == "text.mp4" else clips.folder / name
    strips = strips_of(pair(clips.clip("h264"), other), fetcher)
    assert strips.pictures == ()
    assert strips.problem.startswith("No pictures: ")
    assert says in strips.problem
