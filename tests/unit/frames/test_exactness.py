"""Every slot shows exactly the frame that stands there, whatever the kind of file and however it is asked for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from backend.bench.clips import ENCODED, Shape, read_number
from backend.bench.frames import card_pictures, numbers_of
from backend.frames import VideoPair
from backend.reasoning.contract import VR_THINKER_96, VRTHINKER_128, grid_index
from backend.types import FrameRef
from tests.clips import KINDS, SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from backend.reasoning.contract import Contract
    from tests.clips import Clips

ALL_SLOTS = [FrameRef(video, slot) for video in (1, 2) for slot in range(128)]
# What the decoder shows of each kind, by engine.md's table; the others show all 120 frames.
SHOWN = {"cut": 88, "sparse_mkv": 66}
FITS_ODD_SIZES = ("h264_444", "mpeg4", "vp9", "gif")


def numbers_at(path: Path, contract: Contract, slots: list[int]) -> list[int | None]:
    """The right number for each slot, by reading the file front to back."""
    numbers = numbers_of(path)
    return [numbers[grid_index(slot, len(numbers), contract.slots)] for slot in slots]


@pytest.mark.parametrize("kind", KINDS)
def test_all_slots_of_both_videos_show_the_right_frame(kind: str, clips: Clips) -> None:
    video, other = clips.clip(kind), clips.clip("mpeg4")
    with VideoPair.open(video, other, VRTHINKER_128) as pair:
        frames = pair.frames(ALL_SLOTS)
    right = [*numbers_at(video, VRTHINKER_128, list(range(128))), *numbers_at(other, VRTHINKER_128, list(range(128)))]
    assert None not in right
    assert [read_number(frame.image) for frame in frames] == right
    assert not any(frame.substituted for frame in frames)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_asked_for_turn_by_turn_are_those_asked_for_at_once(kind: str, clips: Clips) -> None:
    path = clips.clip(kind)
    chance = random.Random(kind)  # noqa: S311  # a conversation, the same every time
    turns = [[FrameRef(video, chance.randrange(128)) for video in (1, 2) for _ in range(6)] for _ in range(5)]
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        shown = [frame for refs in turns for frame in pair.frames(refs)]
    slots = [ref.slot for refs in turns for ref in refs]
    assert [read_number(frame.image) for frame in shown] == numbers_at(path, VRTHINKER_128, slots)
    assert [frame.ref for frame in shown] == [ref for refs in turns for ref in refs]


@pytest.mark.parametrize("kind", KINDS)
def test_the_true_number_of_frames_is_known_whatever_the_header_says(kind: str, clips: Clips) -> None:
    path = clips.clip(kind)
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        clip = pair.clips[0]
    assert clip.frames == len(numbers_of(path))
    assert (clip.width, clip.height) == (SMALL.width, SMALL.height)
    if not kind.startswith("truncated"):
        assert clip.frames == SHOWN.get(kind, SMALL.frames)
    else:
        assert 0 < clip.frames < SMALL.frames


@pytest.mark.parametrize("kind", ["h264", "vp9", "gif", "h264_444"])
@pytest.mark.parametrize("shape", [Shape(30, 640, 360), Shape(30, 90, 160), Shape(30, 34, 18)], ids=str)
def test_pictures_are_to_the_bit_those_of_opencv_and_pil(kind: str, shape: Shape, clips: Clips) -> None:
    path = clips.clip(kind, shape)
    slots = (0, 16, 48, 127)
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        ours = [frame.image for frame in pair.frames([FrameRef(video, slot) for video in (1, 2) for slot in slots])]
    card = card_pictures(path, [slots], VRTHINKER_128)
    for picture, cards in zip(ours, card, strict=True):
        assert cards is not None
        assert (picture.mode, picture.size) == ("RGB", (448, 448))
        assert picture.tobytes() == cards.tobytes()


@pytest.mark.parametrize("kind", FITS_ODD_SIZES)
@pytest.mark.parametrize("shape", [Shape(40, 51, 37), Shape(40, 33, 97), Shape(7, 101, 41, 60)], ids=str)
def test_odd_sizes_and_few_frames_are_exact_too(kind: str, shape: Shape, clips: Clips) -> None:
    path = clips.clip(kind, shape)
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        frames = pair.frames(ALL_SLOTS)
        assert (pair.clips[1].width, pair.clips[1].height) == (shape.width, shape.height)
    assert [read_number(frame.image) for frame in frames[:128]] == [
        grid_index(s, shape.frames, 128) for s in range(128)
    ]


def test_a_recording_cut_in_the_middle_of_a_packet_is_shown(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "cut.ts"
    path.write_bytes(clips.clip("open_gop_ts").read_bytes()[100:])
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        assert [read_number(frame.image) for frame in pair.frames(ALL_SLOTS[:128])] == numbers_at(
            path, VRTHINKER_128, list(range(128))
        )


def test_a_video_of_one_frame_shows_it_everywhere(clips: Clips) -> None:
    path = clips.clip("h264", Shape(1, 64, 48))
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        assert {(frame.index, frame.seconds, read_number(frame.image)) for frame in pair.frames(ALL_SLOTS)} == {
            (0, 0.0, 0)
        }


def test_a_frame_of_one_pixel_fills_the_picture(clips: Clips) -> None:
    path = clips.clip("gif", Shape(10, 1, 1))
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        assert {frame.image.size for frame in pair.frames(ALL_SLOTS)} == {(448, 448)}
        assert (pair.clips[0].width, pair.clips[0].height) == (1, 1)


def test_a_phone_recording_stands_upright_as_opencv_shows_it(clips: Clips) -> None:
    path = clips.clip("rotated")
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        frames = pair.frames(ALL_SLOTS[:128])
        assert (pair.clips[0].width, pair.clips[0].height) == (SMALL.height, SMALL.width)
    lying = [frame.image.transpose(Image.Transpose.ROTATE_270) for frame in frames]
    assert [read_number(image) for image in lying] == [grid_index(slot, SMALL.frames, 128) for slot in range(128)]


def test_the_grid_of_the_older_contract_has_48_slots(clips: Clips) -> None:
    path = clips.clip("h264")
    refs = [FrameRef(video, slot) for video in (1, 2) for slot in range(48)]
    with VideoPair.open(path, path, VR_THINKER_96) as pair:
        frames = pair.frames(refs)
    right = numbers_at(path, VR_THINKER_96, list(range(48)))
    assert [read_number(frame.image) for frame in frames] == [*right, *right]


@pytest.mark.parametrize("kind", ["h264", "mpeg4_avi", "open_gop_ts", "vp9", "gif"])
def test_frames_carry_the_time_at_which_they_are_shown(kind: str, clips: Clips) -> None:
    path = clips.clip(kind)
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        frames = pair.frames(ALL_SLOTS)
    exactness = 0.006 if kind == "gif" else 0.001  # a GIF counts hundredths of a second
    assert [frame.seconds for frame in frames] == pytest.approx([frame.index / 24 for frame in frames], abs=exactness)


@pytest.mark.parametrize(("kind", "fps"), [("h264", 24), ("vp9", 24), ("open_gop_ts", 24), ("live_webm", 24)])
def test_the_frame_rate_is_the_files_own(kind: str, fps: int, clips: Clips) -> None:
    with VideoPair.open(clips.clip(kind), clips.clip("mpeg4", Shape(40, 64, 48, 60)), VRTHINKER_128) as pair:
        assert [clip.fps for clip in pair.clips] == pytest.approx([fps, 60])


def test_times_of_an_uneven_video_are_its_own(clips: Clips) -> None:
    path = clips.clip("vfr_mp4")
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        frames = pair.frames(ALL_SLOTS)
    uneven = [(3 * frame.index + frame.index % 3) / 72 for frame in frames]
    assert [frame.seconds for frame in frames] == pytest.approx(uneven, abs=0.001)


@pytest.mark.parametrize("kind", ["h264", "vp9", "open_gop_ts", "truncated_mp4"])
def test_the_same_files_give_the_same_bytes_again(kind: str, clips: Clips) -> None:
    path = clips.clip(kind)
    runs = []
    for _ in range(2):
        with VideoPair.open(path, path, VRTHINKER_128) as pair:
            runs.append([(frame.index, frame.seconds, frame.image.tobytes()) for frame in pair.frames(ALL_SLOTS)])
    assert runs[0] == runs[1]


def test_every_kind_of_engine_md_is_among_the_clips() -> None:
    table = {"h264", "hevc", "mpeg4", "vp9", "gif", "fragmented", "vfr_mp4", "open_gop_ts", "vfr_mkv"}
    assert table < set(ENCODED)
    assert {*table, "cut", "truncated_webm", "truncated_mp4", "live_webm"} < set(KINDS)
