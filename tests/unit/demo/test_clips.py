"""The clips that the demo makes are real, different, and the same every time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import cv2
import pytest

from backend.demo.clips import FPS, PAIRS, encode, make_clips, paths
from backend.demo.defects import freeze, jitter
from backend.demo.process import Processes
from backend.demo.scenes import paper_plane
from backend.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    with Processes(folder / "run") as processes:
        make_clips(folder, processes)
    return folder


def _video(path: Path) -> tuple[str, int, tuple[int, int], list[int]]:
    """Codec, frames, size, and a digest of every frame."""
    capture = cv2.VideoCapture(str(path))
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
    digests: list[int] = []
    size = (0, 0)
    while True:
        readable, frame = capture.read()
        if not readable:
            return codec, len(digests), size, digests
        size = (frame.shape[1], frame.shape[0])
        digests.append(hash(frame.tobytes()))


def _sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def test_there_are_at_least_six_pairs_each_with_its_own_prompt_and_fault() -> None:
    assert len(PAIRS) >= 6
    assert len({pair.prompt for pair in PAIRS}) == len(PAIRS)
    assert len({pair.defect or pair.other for pair in PAIRS}) == len(PAIRS)


def test_every_clip_is_h264_of_the_promised_size_and_length(clips: Path) -> None:
    for pair in PAIRS:
        for path in paths(pair, clips):
            codec, frames, size, _ = _video(path)
            assert codec in ("avc1", "h264"), path
            assert frames == round(pair.seconds * FPS)
            assert size == pair.size
            assert 3 <= pair.seconds <= 4
            assert 448 <= max(size) <= 640


def test_every_clip_starts_before_its_end_has_arrived(clips: Path) -> None:
    for path in clips.glob("*.mp4"):
        data = path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat"), path


def test_the_two_takes_of_a_pair_differ(clips: Path) -> None:
    for pair in PAIRS:
        first, second = paths(pair, clips)
        assert _video(first)[3] != _video(second)[3]


def test_a_second_run_keeps_what_is_there_and_makes_what_is_missing_alike(clips: Path) -> None:
    before = {
        path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest()) for path in clips.glob("*.mp4")
    }
    lost = paths(PAIRS[2], clips)[1]
    lost.unlink()
    counts: list[int] = []

    with Processes(clips / "run") as processes:
        make_clips(clips, processes, counts.append)

    assert (counts[0], counts[-1]) == (len(PAIRS) - 1, len(PAIRS))
    assert _sha256(lost) == before[lost][1]
    kept = paths(PAIRS[0], clips)[0]
    assert kept.stat().st_mtime_ns == before[kept][0]
    assert set(clips.glob("*.mp4")) == set(before)


def test_a_frozen_take_shows_one_frame_for_a_while() -> None:
    paint = paper_plane((448, 448))
    frames = [paint(number / 19) for number in range(20)]
    assert len({frame.tobytes() for frame in freeze(frames)}) < 12
    assert len({frame.tobytes() for frame in jitter(frames)}) == 20


def test_an_interrupted_encoding_leaves_no_clip_behind(tmp_path: Path) -> None:
    paint = paper_plane((448, 448))
    with pytest.raises(AttributeError):
        encode([paint(0), None], tmp_path / "a.mp4", (448, 448))  # type: ignore[list-item]  # breaks in the middle
    assert not (tmp_path / "a.mp4").exists()


def test_a_clip_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    for path in [path for pair in PAIRS[1:] for path in paths(pair, tmp_path)]:
        path.touch()  # there already, so not made
    in_the_way = paths(PAIRS[0], tmp_path)[0]
    in_the_way.mkdir()
    (in_the_way / "full").touch()
    with Processes(tmp_path / "run") as processes, pytest.raises(ServiceError, match=r"(?s)Clips 1 failed.*kite-1"):
        make_clips(tmp_path, processes)
