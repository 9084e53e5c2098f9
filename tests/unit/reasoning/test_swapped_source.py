"""The swapped source shows the same two videos with their numbers exchanged."""

from __future__ import annotations

from backend.reasoning.swap import SwappedSource
from backend.types import FrameRef
from tests.fakes import FakeFrameSource


def test_the_swapped_source_shows_each_video_as_the_other() -> None:
    source = FakeFrameSource(frames=(240, 120))
    first, second = SwappedSource(source).frames([FrameRef(1, 7), FrameRef(2, 7)])
    assert (first.ref, second.ref) == (FrameRef(1, 7), FrameRef(2, 7))
    assert (first.image.getpixel((0, 0)), second.image.getpixel((0, 0))) == ((2, 7, 0), (1, 7, 0))
    assert (first.index, second.index) == (6, 13)
    assert source.asked == [(FrameRef(2, 7), FrameRef(1, 7))]


def test_the_swapped_source_renumbers_the_clips() -> None:
    clips = SwappedSource(FakeFrameSource(frames=(240, 120))).clips
    assert [(clip.video, clip.frames) for clip in clips] == [(1, 120), (2, 240)]


def test_the_swapped_source_gives_the_same_frame_again_without_asking_twice() -> None:
    source = FakeFrameSource()
    swapped = SwappedSource(source)
    first, repeated = swapped.frames([FrameRef(1, 7), FrameRef(1, 7)])
    again, new = swapped.frames([FrameRef(1, 7), FrameRef(2, 7)])
    assert first is repeated is again
    assert new.ref == FrameRef(2, 7)
    assert source.asked == [(FrameRef(2, 7),), (FrameRef(1, 7),)]


def test_the_swapped_source_keeps_what_stands_in_for_an_unreadable_frame() -> None:
    swapped = SwappedSource(FakeFrameSource(unreadable={FrameRef(2, 60)}))
    shown = swapped.frames([FrameRef(1, 60), FrameRef(2, 60)])
    assert [frame.substituted for frame in shown] == [True, False]
