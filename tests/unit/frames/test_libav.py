"""What OpenCV does not show, or shows wrong without a word, is decoded by PyAV: as exactly, with the same pictures."""

from __future__ import annotations

import contextlib
import random
import sys
from typing import TYPE_CHECKING

import pytest

from backend.bench.clips import BEYOND_OPENCV, Shape, read_number
from backend.errors import MediaError
from backend.frames import FrameCache, VideoPair
from backend.frames.capture import Limits, OpenCVCapture, UndecodableError, UnreadableError
from backend.frames.libav import LibavCapture
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import FrameRef
from tests.clips import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from backend.frames.capture import Capture, Pixels
    from tests.clips import Clips

ALL_SLOTS = [FrameRef(video, slot) for video in (1, 2) for slot in range(128)]
SHAPE = Shape(frames=50, width=128, height=96, fps=25)


def shown(capture: Capture) -> list[Pixels | None]:
    """Every frame, until three in a row cannot be decoded."""
    pictures, failures = [], 0
    while failures < 3:
        if capture.grab():
            pictures.append(capture.retrieve())
            failures = 0
        else:
            failures += 1
    return pictures


@pytest.mark.parametrize("kind", BEYOND_OPENCV)
def test_what_opencv_does_not_show_is_exact_too(kind: str, clips: Clips) -> None:
    path, other = clips.clip(kind, SHAPE), clips.clip("h264", SHAPE)
    with VideoPair.open(path, other, VRTHINKER_128) as pair:
        first = [read_number(frame.image) for frame in pair.frames(VRTHINKER_128.initial_frames())]
        everything = [read_number(frame.image) for frame in pair.frames(ALL_SLOTS)]
        assert pair.clips[0].frames == SHAPE.frames
    assert first == [grid_index(ref.slot, SHAPE.frames, 128) for ref in VRTHINKER_128.initial_frames()]
    assert everything == [grid_index(ref.slot, SHAPE.frames, 128) for ref in ALL_SLOTS]


@pytest.mark.parametrize("wanted", [(0,), (127,), (0, 1)])
def test_a_look_at_few_frames_is_enough_to_notice(wanted: tuple[int, ...], clips: Clips, tmp_path: Path) -> None:
    path = clips.clip("interlaced", SHAPE)
    cache = FrameCache(tmp_path, 100_000_000)
    with VideoPair.open(path, path, VRTHINKER_128, cache=cache):
        pass  # another task, which leaves the true length behind
    refs = [FrameRef(1, slot) for slot in wanted]
    with VideoPair.open(path, path, VRTHINKER_128, cache=cache, wanted=refs) as pair:
        assert [read_number(frame.image) for frame in pair.frames(refs)] == [
            grid_index(slot, SHAPE.frames, 128) for slot in wanted
        ]


@pytest.mark.parametrize("frames", [1, 2])
def test_an_interlaced_video_may_be_as_short_as_it_likes(frames: int, clips: Clips) -> None:
    path = clips.clip("interlaced", Shape(frames, 128, 96, 25))
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        assert {read_number(frame.image) for frame in pair.frames(ALL_SLOTS)} == set(range(frames))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "gif"])
def test_both_decoders_show_the_same_pictures_at_the_same_times(kind: str, clips: Clips) -> None:
    path = clips.clip(kind)
    with OpenCVCapture(path, Limits()) as one, LibavCapture(path, Limits()) as other:
        pictures = 0
        while one.grab():
            assert other.grab()
            assert one.intra == other.intra
            theirs, ours = one.retrieve(), other.retrieve()
            assert theirs is not None
            assert ours is not None
            assert (theirs == ours).all()
            assert one.seconds == pytest.approx(other.seconds, abs=2e-3)
            pictures += 1
        assert not other.grab()
    assert pictures > 10


def test_a_rotated_video_stands_upright(clips: Clips) -> None:
    path = clips.clip("rotated")
    with OpenCVCapture(path, Limits()) as one, LibavCapture(path, Limits()) as other:
        theirs, ours = shown(one), shown(other)
    assert len(theirs) == len(ours)
    assert all(a is not None and b is not None and (a == b).all() for a, b in zip(theirs, ours, strict=True))


def test_a_video_that_never_changes_is_shown(clips: Clips) -> None:
    path = clips.clip("h264", Shape(1, 128, 96, 25))
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        assert {read_number(frame.image) for frame in pair.frames(ALL_SLOTS)} == {0}


def test_without_the_other_decoder_the_reason_is_given_and_no_wrong_picture(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clips.clip("interlaced", SHAPE)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaError, match=r"such as interlaced ones\. Install the package av"):
        VideoPair.open(path, path, VRTHINKER_128)


def test_what_no_decoder_shows_has_the_first_one_s_reason(clips: Clips) -> None:
    path = clips.other("sound.mp4")
    with pytest.raises(MediaError, match="is audio only"):
        VideoPair.open(path, path, VRTHINKER_128)
    with pytest.raises(UndecodableError):
        LibavCapture(path, Limits())


def test_limits_hold_for_both(clips: Clips) -> None:
    path = clips.clip("av1", SHAPE)
    with pytest.raises(UnreadableError, match="more than 100 in a frame"):
        LibavCapture(path, Limits(pixels=100))
    with pytest.raises(MediaError, match="more than 20 frames"):
        VideoPair.open(path, path, VRTHINKER_128, limits=Limits(frames=20))


def test_files_are_read_front_to_back_only(clips: Clips) -> None:
    with LibavCapture(clips.clip("av1", SHAPE), Limits()) as capture:
        assert not capture.header.seekable
        with pytest.raises(NotImplementedError):
            capture.seek(3)


@pytest.mark.parametrize("kind", ["interlaced", "av1"])
def test_names_in_the_file_that_are_no_text_do_not_matter(kind: str, clips: Clips) -> None:
    content = clips.clip(kind, SHAPE).read_bytes()
    path = clips.write(f"{kind}_named.mp4", content.replace(b"VideoHandler", b"Video\xf4\xff\xfeHand"))
    assert path.read_bytes() != content
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        assert pair.clips[0].frames == SHAPE.frames


def test_a_codec_that_nobody_knows_is_told(clips: Clips) -> None:
    content = clips.clip("interlaced", SHAPE).read_bytes()
    path = clips.write("unknown_codec.mp4", content.replace(b"avc1", b"zzz9"))
    with pytest.raises(UndecodableError):
        LibavCapture(path, Limits())
    with pytest.raises(MediaError, match="can be decoded"):
        VideoPair.open(path, path, VRTHINKER_128)


@pytest.mark.parametrize("kind", BEYOND_OPENCV)
def test_damage_ends_in_frames_or_in_one_reason(kind: str, clips: Clips, tmp_path: Path) -> None:
    content, chance = clips.clip(kind, SHAPE).read_bytes(), random.Random(kind)  # noqa: S311  # repeatable damage
    path = tmp_path / f"damaged{clips.clip(kind, SHAPE).suffix}"
    for changes in (1, 5, 50) * 3:
        damaged = bytearray(content)
        for _ in range(changes):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(MediaError), VideoPair.open(path, path, VRTHINKER_128) as pair:
            assert pair.clips[0].frames > 0
