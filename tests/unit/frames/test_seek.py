"""Few frames of a long video are sought, and what a seek does not prove is decoded from the start."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.bench.clips import read_number
from backend.bench.frames import numbers_of
from backend.frames import VideoPair
from backend.frames.capture import Moment
from backend.frames.landmarks import Landmarks, may_pay, numbering
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import FrameRef
from tests.clips import LONG
from tests.unit.frames.fakes import CountingOpener, FakeFile, shade
from tests.unit.frames.test_pair import HERE, open_fake

if TYPE_CHECKING:
    from tests.clips import Clips

LATER = [FrameRef(1, slot) for slot in (0, 1, 5, 63, 64, 65, 100, 126, 127)]
SOUGHT = (
    "h264",
    "h264_short_gop",
    "hevc",
    "mpeg4",
    "mpeg4_avi",
    "vp9",
    "fragmented",
    "vfr_mp4",
    "vfr_mkv",
    "sparse_mkv",
    "truncated_webm",
    "open_gop_ts",
)
DECODED = ("gif", "cut", "live_webm", "truncated_mp4")
KEYS = tuple(range(0, 3000, 50))


@pytest.mark.parametrize("kind", [*SOUGHT, *DECODED])
def test_frames_of_a_long_video_are_exact(kind: str, clips: Clips) -> None:
    path, counter = clips.clip(kind, LONG), CountingOpener()
    numbers = numbers_of(path)
    pair = VideoPair.open(path, path, VRTHINKER_128, open_capture=counter)
    assert pair.clips[0].frames == len(numbers)
    assert (counter.seeks > 0 and counter.grabs < 2 * len(numbers)) == (kind in SOUGHT)
    refs = [*VRTHINKER_128.initial_frames(), *LATER]
    right = [numbers[grid_index(ref.slot, len(numbers), 128)] for ref in refs]
    assert [read_number(frame.image) for frame in pair.frames(refs)] == right


@pytest.mark.parametrize("kind", ["h264", "vfr_mp4", "open_gop_ts"])
def test_all_slots_of_a_long_video_are_decoded_in_one_pass(kind: str, clips: Clips) -> None:
    path, counter = clips.clip(kind, LONG), CountingOpener()
    refs = [FrameRef(video, slot) for video in (1, 2) for slot in range(128)]
    pair = VideoPair.open(path, path, VRTHINKER_128, open_capture=counter, wanted=refs)
    assert counter.seeks == 0
    assert counter.grabs < 2 * 1.05 * LONG.frames
    assert [read_number(frame.image) for frame in pair.frames(refs)] == [
        grid_index(ref.slot, 1800, 128) for ref in refs
    ]


def test_a_second_look_at_a_cut_video_uses_what_the_first_pass_saw(clips: Clips) -> None:
    path, counter = clips.clip("cut", LONG), CountingOpener()
    pair = VideoPair.open(path, path, VRTHINKER_128, open_capture=counter)
    assert counter.grabs < 2 * 1.8 * pair.clips[0].frames
    assert counter.seeks > 0


def test_a_short_video_is_decoded_without_looking_at_its_list() -> None:
    file = FakeFile(total=120, seekable=True, keys=(0, 30, 60, 90))
    open_fake(file)
    assert file.scanned == 0


@pytest.mark.parametrize("indexed", [True, False])
def test_seeks_spare_most_of_a_long_video(indexed: bool) -> None:
    file = FakeFile(total=3000, seekable=True, keys=KEYS, indexed=indexed)
    pair = open_fake(file)
    assert len(file.grabbed) < 2 * 400
    assert [frame.index for frame in pair.frames(VRTHINKER_128.initial_frames())[:4]] == [375, 1125, 1875, 2625]


@pytest.mark.parametrize(
    "fault",
    [
        {"overshoot": 40},  # seeks land behind the frame
        {"overshoot": -40, "keys": (0, 1000, 2000)},  # before it: still right, by the frames' times
        {"indexed": False, "overshoot": 1},  # behind the key frame, so that what follows may be damaged
        {"indexed": False, "overshoot": -3},  # before it: the key frame is not met
        {"listed": [Moment(n / 10, n % 50 == 0) for n in range(3100)]},  # the end cannot be decoded
        {"listed": [Moment(n / 10 + 5, n % 50 == 0) for n in range(3000)]},  # times from elsewhere
        {"listed": [Moment(n / 10, True) for n in range(3000)]},  # every frame claims to be a key frame
        {"listed": [Moment(n // 2, n % 50 == 0) for n in range(3000)]},  # times repeat
        {"listed": [Moment(n / 10, n % 50 == 1) for n in range(3000)]},  # begins in the middle of something
        {"listed": []},
        {"undecodable": range(2995, 2999)},  # a hole close to the end
        {"undecodable": range(370, 380)},  # a hole where a frame is wanted
        {"claims": 2000},
        {"claims": 9000},
        {"fps": 7.0, "times": [n / 10 + (n % 3) / 50 for n in range(3000)]},
    ],
    ids=str,
)
def test_what_seeks_do_not_prove_is_decoded_from_the_start(fault: dict[str, object]) -> None:
    file = FakeFile(**{"total": 3000, "seekable": True, "keys": KEYS} | fault)  # type: ignore[arg-type]
    pair = open_fake(file)
    assert pair.clips[0].frames == 3000
    frames = pair.frames([*VRTHINKER_128.initial_frames(), *LATER])
    assert [frame.wanted for frame in frames] == [grid_index(frame.ref.slot, 3000, 128) for frame in frames]
    assert [shade(frame.image) for frame in frames] == [frame.index % 256 for frame in frames]
    holes = set(file.undecodable)
    assert {frame.wanted for frame in frames if frame.substituted} == holes & {frame.wanted for frame in frames}


def test_a_seek_that_fails_in_a_later_turn_is_made_up_for() -> None:
    file = FakeFile(total=3000, seekable=True, keys=KEYS)
    pair = open_fake(file)
    file.overshoot = 40
    assert [frame.index for frame in pair.frames(LATER)] == [grid_index(ref.slot, 3000, 128) for ref in LATER]


@pytest.mark.parametrize("indexed", [True, False])
def test_a_file_that_is_first_decoded_whole_is_sought_later(indexed: bool) -> None:
    file = FakeFile(total=1600, seekable=True, keys=KEYS[:32], indexed=indexed)
    everything = [FrameRef(1, slot) for slot in range(0, 128, 2)]
    pair = VideoPair.open(HERE, HERE, VRTHINKER_128, open_capture=file, scan=file.scan, wanted=everything)
    assert file.scanned == 1  # Video 2, of which nothing was wanted
    file.grabbed.clear()
    assert [frame.index for frame in pair.frames([FrameRef(1, 101)])] == [grid_index(101, 1600, 128)]
    assert len(file.grabbed) < 100


@given(
    gaps=st.lists(st.integers(1, 9), min_size=1, max_size=300),
    keys=st.sets(st.integers(0, 300)),
    data=st.data(),
)
def test_landmarks_know_every_frame_by_its_time(gaps: list[int], keys: set[int], data: st.DataObject) -> None:
    times = [sum(gaps[:count]) / 100 for count in range(len(gaps))]
    moments = [Moment(time, number in keys or number == 0) for number, time in enumerate(times)]
    stored = [moments[0], *data.draw(st.permutations(moments[1:]))]
    landmarks = Landmarks.of(stored, decoded=False)
    assert landmarks is not None
    assert [landmarks.place(time) for time in times] == list(range(len(times)))
    assert landmarks.place(times[-1] + 1) is None
    assert all(moments[key].key for key in landmarks.keys)
    for index in range(len(times)):
        entry = landmarks.entry(index)
        assert entry is None or (moments[entry].key and entry <= index - 18)


def test_the_cost_of_seeks_is_that_of_the_nearest_ways() -> None:
    landmarks = Landmarks.of([Moment(n / 10, n % 100 == 0) for n in range(1000)], decoded=True)
    assert landmarks is not None
    assert landmarks.cost([10], and_count=False) == 10
    assert landmarks.cost([150, 160], and_count=False) == 50 + 6 + 10
    assert landmarks.cost([150], and_count=True) == 99 + 6 + 50 + 6
    alone = Landmarks.of([Moment(n / 10, n == 0) for n in range(1000)], decoded=True)
    assert alone is not None
    assert alone.cost([500], and_count=False) == 500


def test_seeks_are_considered_only_where_they_can_pay() -> None:
    assert [may_pay(frames, 4) for frames in (120, 150, 151, 1800)] == [False, False, True, True]
    assert [may_pay(frames, 48) for frames in (1250, 1251)] == [False, True]


@pytest.mark.parametrize(
    ("decoded", "listed", "fps", "numbers"),
    [
        ([0.0, 0.3, 0.4], [0.0, 0.1, 0.3, 0.4], 0.0, [0, 2, 3]),
        ([0.0, 0.3, 0.4], [], 10.0, [0, 3, 4]),
        ([0.0, 0.3, 0.4], [0.0, 0.4], 10.0, [0, 3, 4]),
        ([0.0, 0.3004, 0.3996], [], 10.0, [0, 3, 4]),  # rounded to milliseconds
        ([0.0, 0.35], [], 10.0, None),
        ([0.0, 0.3], [], 0.0, None),
        ([0.3, 0.3], [], 10.0, None),
    ],
)
def test_frames_behind_a_hole_are_numbered_by_list_or_rate(
    decoded: list[float], listed: list[float], fps: float, numbers: list[int] | None
) -> None:
    number = numbering([Moment(time, True) for time in decoded], [Moment(time, True) for time in listed], fps)
    assert (None if number is None else [number(time) for time in decoded]) == numbers


def test_times_that_do_not_rise_are_no_landmarks() -> None:
    assert Landmarks.of([], decoded=True) is None
    assert Landmarks.of([Moment(0, True), Moment(0, False)], decoded=True) is None
    assert all(a < b for a, b in pairwise(sorted({0.0, 0.1})))
