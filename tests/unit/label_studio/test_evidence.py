"""A file's frame, the time it is on screen, and the number Label Studio's player has for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.label_studio.evidence import Evidence, player_fps, player_frame, spans
from backend.reasoning.swap import merged
from backend.types import Clip, VideoNumber
from tests.unit.label_studio.judgements import ASK, DECIDE, judged

VIDEO_1: VideoNumber = 1
VIDEO_2: VideoNumber = 2


def clip(frames: int, fps: float) -> Clip:
    return Clip(1, frames, fps, 64, 64)


def shown(number: int, rate: float, fps: float) -> int:
    """The file's frame on screen after jumping to a number; the jump as Label Studio 1.23's player makes it."""
    landing = round((number - 1) / rate / 0.002) * 0.002 + 0.002
    return int(landing * fps + 1e-9)


@pytest.mark.parametrize(
    ("fps", "rate", "index", "number"),
    [
        (24, 24, 0, 1),
        (24, 24, 60, 61),
        (30, 30, 46, 47),
        (16, 16, 70, 71),
        (25, 24, 12, 13),  # measured in a browser, as are the next ones
        (25, 24, 37, 37),
        (25, 24, 87, 85),
        (12, 24, 4, 9),
        (12, 24, 31, 63),
        (60, 24, 22, 10),
        (60, 24, 157, 64),
    ],
)
def test_a_frame_is_named_by_the_number_that_shows_it(fps: float, rate: float, index: int, number: int) -> None:
    assert player_frame(index / fps, clip(200, fps), rate) == number


def test_a_clip_of_one_frame_that_tells_no_rate_has_one_number() -> None:
    assert player_frame(0.0, clip(1, 0.0), 24) == 1


@pytest.mark.parametrize(
    ("told", "rate"),
    [
        *((24, 24), (29.97, 29.97), ("30", 30), (0.04, 25), (1, 1), (1000, 1000), (0.001, 1000)),
        *((told, 24) for told in (0, -1, 1001, 0.0009, 1e-310, 1e308, 10**400, "1" + "0" * 400)),
        *((told, 24) for told in ("fast", "", "nan", "inf", float("nan"), float("inf"), None, [30])),
    ],
)
def test_only_a_rate_that_a_player_can_keep_is_taken_from_a_task(told: object, rate: float) -> None:
    assert player_fps(told) == pytest.approx(rate)


@given(st.integers(0, 600), st.sampled_from([8, 12, 15, 16, 23.976, 24, 25, 29.97, 30, 50, 60]))
def test_with_the_right_rate_every_frame_has_its_own_number(index: int, fps: float) -> None:
    assert player_frame(index / fps, clip(601, fps), fps) == index + 1


@given(st.integers(0, 600), st.sampled_from([8, 12, 15, 16, 24, 25]), st.sampled_from([25, 30, 48, 50, 60]))
def test_a_player_that_counts_faster_shows_the_very_frame(index: int, fps: float, rate: float) -> None:
    assert shown(player_frame(index / fps, clip(601, fps), rate), rate, fps) == index


@given(st.integers(0, 600), st.sampled_from([25, 29.97, 30, 50, 59.94, 60]), st.sampled_from([8, 12, 16, 24]))
def test_a_player_that_counts_slower_shows_a_frame_within_half_its_own_step(
    index: int, fps: float, rate: float
) -> None:
    number = player_frame(index / fps, clip(601, fps), rate)

    assert abs(shown(number, rate, fps) - index) <= fps / rate / 2 + 1


@given(st.integers(1, 300), st.sampled_from([10, 24, 30]), st.sampled_from([10, 24, 30]))
def test_no_number_lies_outside_the_timeline(frames: int, fps: float, rate: float) -> None:
    last = player_frame((frames - 1) / fps, clip(frames, fps), rate)

    assert 1 <= last <= -(-frames * rate // fps) + 1


@pytest.mark.parametrize(
    ("frames", "ranges"),
    [
        ([], []),
        ([5], [(5, 5)]),
        ([9, 5, 5, 1], [(1, 1), (5, 5), (9, 9)]),
        ([3, 4, 5, 9, 10, 12], [(3, 5), (9, 10), (12, 12)]),
    ],
)
def test_neighbouring_frames_make_one_mark(frames: list[int], ranges: list[tuple[int, int]]) -> None:
    assert [(span["start"], span["end"]) for span in spans(frames)] == ranges


def test_each_video_is_marked_by_its_own_rate_and_length() -> None:
    clips = (Clip(1, 96, 24.0, 64, 64), Clip(2, 45, 30.0, 36, 64))
    evidence = Evidence(judged(clips=clips), (24.0, 30.0))

    assert [mark["start"] for mark in evidence.ranges(VIDEO_1)] == [13, 37, 40, 46, 52, 61, 85]
    assert [mark["start"] for mark in evidence.ranges(VIDEO_2)] == [6, 17, 19, 22, 24, 29, 40]


def test_frames_inspected_with_the_videos_exchanged_are_marked_where_they_really_are() -> None:
    clips = (Clip(1, 96, 24.0, 64, 64), Clip(2, 45, 30.0, 36, 64))
    exchanged = (replace(clips[1], video=1), replace(clips[0], video=2))
    second = judged(ASK.replace("52, 60, 68", "0, 127"), DECIDE, clips=exchanged)
    evidence = Evidence(merged(judged(clips=clips), second), (24.0, 30.0))

    assert [mark["start"] for mark in evidence.ranges(VIDEO_1)] == [1, 13, 37, 40, 46, 52, 61, 85, 96]
    assert [mark["start"] for mark in evidence.ranges(VIDEO_2)] == [1, 6, 17, 19, 22, 24, 29, 40, 45]
