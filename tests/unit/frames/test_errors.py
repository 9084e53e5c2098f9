"""What is wrong with a file is said in words a person can act on, and never costs more than the limits."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backend.bench.clips import Shape, read_number
from backend.bench.frames import numbers_of
from backend.errors import MediaError
from backend.frames import Limits, VideoPair
from backend.frames.container import Container, Unplayable, sniff, why_unreadable
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import FrameRef
from tests.clips import OTHER_FILES, SMALL, with_duration, with_frame_duration, with_timescale
from tests.unit.frames.fakes import FakeFile, shade
from tests.unit.frames.test_pair import HERE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clips import Clips

REASONS = {
    "empty.mp4": "is empty",
    "text.mp4": "is text, not a video",
    "page.mp4": "is a web page, not a video",
    "playlist.mp4": "is text, not a video",
    "concat.mp4": "is text, not a video",
    "noise.mp4": "is no video of a known kind",
    "picture.mp4": "is a PNG picture, not a video",
    "photo.mp4": "is a JPEG picture, not a video",
    "sound.mp4": "is audio only",
    "sound.webm": "has audio only",
    "sound.mp3": "is a MP3 audio file",
    "sound.wav": "is a WAV audio file",
    "no_index.mp4": "has no index",
    "index_alone.mp4": "holds no readable frame",
}


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_what_shows_no_picture_is_refused_with_the_reason(name: str, reason: str, clips: Clips) -> None:
    with pytest.raises(MediaError) as caught:
        VideoPair.open(clips.other(name), clips.clip("h264"), VRTHINKER_128)
    said = str(caught.value)
    assert said.startswith(f"Video 1 ({name}) ")
    assert reason in said
    assert not caught.value.retryable


def test_every_file_without_a_picture_has_its_reason() -> None:
    assert set(REASONS) == set(OTHER_FILES)


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "missing.mp4", "does not exist"),
        (lambda folder: folder, "is a folder or a device"),
        (_pipe, "is a folder or a device"),
    ],
    ids=["missing", "folder", "pipe"],
)
def test_what_is_no_file_is_refused(make: Callable[[Path], Path], reason: str, clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=reason):
        VideoPair.open(clips.clip("h264"), make(tmp_path), VRTHINKER_128)


@pytest.mark.parametrize("seconds", [1e12, -1e12, float("nan"), float("inf"), 0.0, 1e-9])
def test_a_header_that_lies_about_its_length_is_not_believed(seconds: float, clips: Clips) -> None:
    path = clips.write("lying.webm", with_duration(clips.clip("vp9").read_bytes(), seconds))
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        frames = pair.frames([FrameRef(1, slot) for slot in range(128)])
        assert pair.clips[0].frames == SMALL.frames
    assert [read_number(frame.image) for frame in frames] == [
        grid_index(slot, SMALL.frames, 128) for slot in range(128)
    ]


@pytest.mark.parametrize(
    "lie",
    [
        lambda mp4: with_frame_duration(mp4, 0),
        lambda mp4: with_frame_duration(mp4, 0x7FFFFFFF),
        lambda mp4: with_timescale(mp4, 1),
        lambda mp4: with_timescale(mp4, 0xFFFFFFFF),
    ],
    ids=["no frame rate", "frames of years", "one tick a second", "too many ticks"],
)
def test_a_header_that_lies_about_time_gives_the_frames_that_can_be_decoded(
    lie: Callable[[bytes], bytes], clips: Clips
) -> None:
    path = clips.write("timeless.mp4", lie(clips.clip("h264").read_bytes()))
    numbers = numbers_of(path)
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        frames = pair.frames([FrameRef(1, slot) for slot in range(128)])
        assert pair.clips[0].frames == len(numbers)
    assert [read_number(frame.image) for frame in frames] == [
        numbers[grid_index(slot, len(numbers), 128)] for slot in range(128)
    ]
    assert all(frame.seconds >= 0 for frame in frames)


@pytest.mark.parametrize("claims", [10, 1000, 0])
def test_a_header_count_that_is_wrong_does_not_matter(claims: int) -> None:
    file = FakeFile(total=100, claims=claims)
    pair = VideoPair.open(HERE, HERE, VRTHINKER_128, open_capture=file, scan=file.scan)
    frames = pair.frames([FrameRef(1, slot) for slot in range(128)])
    assert [shade(frame.image) for frame in frames] == [grid_index(slot, 100, 128) for slot in range(128)]


def test_a_container_without_times_gets_them_from_the_frame_rate() -> None:
    file = FakeFile(total=100, fps=20.0, timeless=True)
    pair = VideoPair.open(HERE, HERE, VRTHINKER_128, open_capture=file, scan=file.scan)
    assert pair.frames([FrameRef(1, 64)])[0].seconds == 50 / 20.0


def test_without_times_and_frame_rate_every_time_is_zero() -> None:
    file = FakeFile(total=100, fps=0.0, timeless=True)
    pair = VideoPair.open(HERE, HERE, VRTHINKER_128, open_capture=file, scan=file.scan)
    assert {frame.seconds for frame in pair.frames([FrameRef(1, 0), FrameRef(1, 127)])} == {0.0}
    assert pair.clips[0].fps == 0.0


def test_a_missing_frame_rate_is_worked_out_from_the_times() -> None:
    file = FakeFile(total=100, fps=0.0, times=[number / 50 for number in range(100)])
    pair = VideoPair.open(HERE, HERE, VRTHINKER_128, open_capture=file, scan=file.scan)
    assert pair.clips[0].fps == pytest.approx(50)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(frames=119), "more than 119 frames"),
        (Limits(pixels=64 * 48 - 1), "is 64 x 48 pixels"),
        (Limits(seconds=0.0), "takes longer than 0 s"),
    ],
    ids=["frames", "pixels", "seconds"],
)
def test_a_video_beyond_the_limits_is_refused(limits: Limits, reason: str, clips: Clips) -> None:
    with pytest.raises(MediaError, match=reason):
        VideoPair.open(clips.clip("h264"), clips.clip("h264"), VRTHINKER_128, limits=limits)


def test_a_video_at_the_limits_is_shown(clips: Clips) -> None:
    limits = Limits(frames=120, pixels=64 * 48)
    with VideoPair.open(clips.clip("h264"), clips.clip("live_webm"), VRTHINKER_128, limits=limits) as pair:
        assert [clip.frames for clip in pair.clips] == [120, 120]


def test_a_frame_of_16k_by_16k_is_refused_without_decoding_it(clips: Clips) -> None:
    path = clips.write("16k.y4m", b"YUV4MPEG2 W16384 H16384 F24:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1_000_000))
    with pytest.raises(MediaError, match=r"16k\.y4m"):
        VideoPair.open(path, clips.clip("h264"), VRTHINKER_128)


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"\x00\x00\x00\x20ftypisom", Container.MP4),
        (b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", Container.MP4),
        (b"\x1a\x45\xdf\xa3", Container.MATROSKA),
        (b"RIFF\x00\x00\x00\x00AVI LIST", Container.AVI),
        (b"GIF89a", Container.GIF),
        ((b"\x47" + bytes(187)) * 3, Container.MPEG_TS),
        (bytes(4) + (b"\x47" + bytes(191)) * 3, Container.MPEG_TS),
        (bytes(88) + (b"\x47" + bytes(187)) * 3, Container.MPEG_TS),
        (b"\x00\x00\x01\xba", Container.MPEG_PS),
        (b"\x00\x00\x00\x01\x67", Container.BARE),
        (b"OggS", Container.OGG),
    ],
)
def test_a_video_is_known_by_its_first_bytes_not_its_name(head: bytes, container: Container, tmp_path: Path) -> None:
    path = tmp_path / "anything.txt"
    path.write_bytes(head)
    assert sniff(path) is container


@pytest.mark.parametrize(
    "head", [b"\x47" + bytes(300), b"#EXTM3U\n\x00\x00", b"<?xml version='1.0'?><MPD/>\x00", b"\x00" * 64]
)
def test_nothing_else_reaches_the_decoder(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(head)
    assert isinstance(sniff(path), Unplayable)


def test_a_format_opencv_lacks_is_named(clips: Clips) -> None:
    webm = clips.clip("vp9", Shape(30, 64, 48))
    assert "coded as AV1" in why_unreadable(webm, Container.MATROSKA, "av01")
    assert "'dvh1'" in why_unreadable(webm, Container.MATROSKA, "dvh1")


@pytest.mark.parametrize("size", [0, 1, 8, 2**63 - 1])
def test_boxes_of_impossible_sizes_are_survived(size: int, tmp_path: Path) -> None:
    path = tmp_path / "boxes.mp4"
    path.write_bytes((1).to_bytes(4) + b"ftyp" + size.to_bytes(8) + bytes(8) + (7).to_bytes(4) + b"free")
    assert "has no index" in why_unreadable(path, Container.MP4, "")


def test_the_decoder_prints_nothing(clips: Clips) -> None:
    damaged = [clips.clip(kind) for kind in ("open_gop_ts", "truncated_webm", "truncated_mp4")]
    script = """
import sys
from pathlib import Path
from backend.frames import VideoPair
from backend.reasoning.contract import VRTHINKER_128
for path in map(Path, sys.argv[1:]):
    VideoPair.open(path, path, VRTHINKER_128)
"""
    # In a process of its own: OpenCV asks only once how much to print.
    ended = subprocess.run([sys.executable, "-c", script, *damaged], check=True, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("", "")
