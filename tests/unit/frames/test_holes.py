"""A frame that cannot be read never moves the others: the nearest readable one stands in, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.bench.clips import read_number
from backend.errors import MediaError
from backend.frames import VideoPair
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import FrameRef
from tests.clips import with_damage
from tests.unit.frames.fakes import FakeFile, shade
from tests.unit.frames.test_pair import open_fake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.types import Frame
    from tests.clips import Clips

ALL_SLOTS = [FrameRef(1, slot) for slot in range(128)]
WITHIN = [
    ({50}, {50: 49}),  # the earlier of two equally near
    ({50, 51}, {50: 49, 51: 52}),
    ({50, 51, 52}, {50: 49, 51: 49, 52: 53}),
    ({0}, {0: 1}),
    ({0, 1, 2}, {0: 3, 1: 3, 2: 3}),
    (set(range(1, 127)), {1: 0, 63: 0, 64: 127, 126: 127}),
]
AT_THE_END = [
    ({127}, {127: 126}),
    ({126, 127}, {126: 125, 127: 125}),
    (set(range(128)) - {40}, {0: 40, 127: 40}),
]


def check(frames: Sequence[Frame], holes: set[int], stands_in: dict[int, int]) -> None:
    """The frames of all slots of a fake file of 128 frames."""
    assert [frame.wanted for frame in frames] == list(range(128))
    assert [shade(frame.image) for frame in frames] == [frame.index for frame in frames]
    assert {frame.wanted: frame.index for frame in frames if frame.wanted in stands_in} == stands_in
    assert {frame.wanted for frame in frames if frame.substituted} == holes
    assert [frame.seconds for frame in frames] == pytest.approx([frame.index / 10 for frame in frames])


@pytest.mark.parametrize(("holes", "stands_in"), [*WITHIN, *AT_THE_END])
def test_the_nearest_frame_stands_in_for_one_that_cannot_be_taken_out(
    holes: set[int], stands_in: dict[int, int]
) -> None:
    check(open_fake(FakeFile(total=128, unreadable=holes)).frames(ALL_SLOTS), holes, stands_in)


@pytest.mark.parametrize(("holes", "stands_in"), WITHIN)
@pytest.mark.parametrize("times", [None, [n * n / 100 for n in range(128)]], ids=["even", "uneven"])
def test_the_nearest_frame_stands_in_for_one_that_cannot_be_decoded(
    times: Sequence[float] | None, holes: set[int], stands_in: dict[int, int]
) -> None:
    file = FakeFile(total=128, undecodable=holes, times=times)
    frames = open_fake(file).frames(ALL_SLOTS)
    if times:
        assert [frame.seconds for frame in frames] == pytest.approx([times[frame.index] for frame in frames])
        file.times = None
        frames = open_fake(file).frames(ALL_SLOTS)
    check(frames, holes, stands_in)


@pytest.mark.parametrize("listed", [[], None], ids=["by the frame rate", "by the file's list"])
def test_frames_behind_a_hole_do_not_move_up(listed: list[object] | None) -> None:
    holes = set(range(20, 40))
    file = FakeFile(total=128, undecodable=holes, listed=[] if listed == [] else None)
    frames = open_fake(file).frames(ALL_SLOTS)
    assert [frame.index for frame in frames if frame.wanted not in holes] == [*range(20), *range(40, 128)]


def test_a_hole_that_nothing_tells_about_is_closed_up() -> None:
    file = FakeFile(total=100, undecodable={10}, listed=[], fps=0.0, times=[n * n / 100 for n in range(100)])
    pair = open_fake(file)
    assert pair.clips[0].frames == 99
    assert not any(frame.substituted for frame in pair.frames(ALL_SLOTS))


def test_undecodable_frames_at_the_end_are_not_counted() -> None:
    pair = open_fake(FakeFile(total=128, undecodable=set(range(64, 128))))
    assert pair.clips[0].frames == 64
    assert [frame.index for frame in pair.frames(ALL_SLOTS)] == [grid_index(slot, 64, 128) for slot in range(128)]


def test_a_hole_found_in_a_later_turn_does_not_move_frames_either() -> None:
    file = FakeFile(total=128)
    pair = open_fake(file)
    file.undecodable = {30, 31}
    frames = pair.frames([FrameRef(1, slot) for slot in (20, 30, 60)])
    assert [(frame.wanted, frame.index) for frame in frames] == [(20, 20), (30, 29), (60, 60)]


def test_a_video_without_any_readable_frame_is_a_media_error() -> None:
    with pytest.raises(MediaError, match=r"^Video 2 \(2\.mp4\) holds no readable frame"):
        open_fake(FakeFile(), FakeFile(unreadable=range(100)))
    with pytest.raises(MediaError, match=r"^Video 1 \(1\.mp4\) holds no readable frame"):
        open_fake(FakeFile(undecodable=range(100)), FakeFile())


@pytest.mark.parametrize("kind", ["h264", "mpeg4", "fragmented", "hevc"])
def test_frames_behind_real_damage_stay_at_their_places(kind: str, clips: Clips) -> None:
    path = clips.write(f"damaged_{kind}.mp4", with_damage(clips.clip(kind).read_bytes(), 0.4, 0.05))
    with VideoPair.open(path, path, VRTHINKER_128) as pair:
        frames = pair.frames(ALL_SLOTS)
        clip = pair.clips[0]
    assert [frame.wanted for frame in frames] == [grid_index(slot, clip.frames, 128) for slot in range(128)]
    before = [frame for frame in frames if frame.wanted < 40 and not frame.substituted]
    assert len(before) > 40
    assert [read_number(frame.image) for frame in before] == [frame.index for frame in before]
    # What a damaged picture shows means nothing; behind the next key frame every number is right again.
    assert [read_number(frame.image) for frame in frames[-10:]] == [frame.index for frame in frames[-10:]]
