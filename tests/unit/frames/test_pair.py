"""Two videos as the frame source of a judgement."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.bench.clips import Shape, read_number
from backend.errors import MediaError
from backend.frames import VideoPair
from backend.reasoning.contract import VR_THINKER_96, VRTHINKER_128, grid_index
from backend.types import FrameRef
from tests.unit.frames.fakes import CountingOpener, FakeFile, shade

if TYPE_CHECKING:
    from backend.reasoning.judge import FrameSource
    from tests.clips import Clips

HERE = Path("fake.mp4")


def open_fake(file: FakeFile, other: FakeFile | None = None) -> VideoPair:
    """A pair of one fake file twice, or of two."""
    files = {Path("1.mp4"): file, Path("2.mp4"): other or file}
    return VideoPair.open(
        Path("1.mp4"),
        Path("2.mp4"),
        VRTHINKER_128,
        open_capture=lambda path, limits: files[path](path, limits),
        scan=lambda path, limits: files[path].scan(path, limits),
    )


def test_a_pair_is_a_frame_source() -> None:
    source: FrameSource = open_fake(FakeFile())
    assert [clip.video for clip in source.clips] == [1, 2]


def test_frames_come_in_the_order_asked_for_and_of_the_right_video() -> None:
    pair = open_fake(FakeFile(total=128), FakeFile(total=200))
    refs = [FrameRef(2, 5), FrameRef(1, 100), FrameRef(1, 5), FrameRef(2, 5)]
    frames = pair.frames(refs)
    assert [frame.ref for frame in frames] == refs
    assert [shade(frame.image) for frame in frames] == [grid_index(5, 200, 128), 100, 5, grid_index(5, 200, 128)]


def test_a_repeated_reference_gives_the_same_object() -> None:
    pair = open_fake(FakeFile())
    first = pair.frames([FrameRef(1, 3), FrameRef(2, 3), FrameRef(1, 3)])
    again = pair.frames([FrameRef(1, 3), FrameRef(1, 90), FrameRef(2, 3)])
    assert first[0] is first[2] is again[0]
    assert first[1] is again[2]


def test_slots_of_a_short_video_that_show_one_frame_share_its_picture() -> None:
    pair = open_fake(FakeFile(total=2))
    early, same, late = pair.frames([FrameRef(1, 0), FrameRef(1, 63), FrameRef(1, 64)])
    assert early is not same
    assert early.image is same.image
    assert late.image is not early.image


def test_opening_decodes_the_initial_frames_once_and_showing_them_costs_nothing() -> None:
    file = FakeFile(total=100)
    pair = open_fake(file)
    opened = file.opened
    pair.frames(VRTHINKER_128.initial_frames())
    assert opened == file.opened == 2


def test_frames_already_shown_are_not_decoded_again() -> None:
    file = FakeFile(total=100)
    pair = open_fake(file)
    pair.frames([FrameRef(1, 7), FrameRef(2, 7)])
    opened = file.opened
    pair.frames([FrameRef(2, 7), FrameRef(1, 7), FrameRef(1, 16)])
    assert file.opened == opened


def test_one_video_asked_for_leaves_the_other_closed() -> None:
    one, two = FakeFile(), FakeFile()
    pair = open_fake(one, two)
    pair.frames([FrameRef(1, 9)])
    assert (one.opened, two.opened) == (2, 1)


def test_only_the_wanted_frames_are_taken_out_of_the_decoder(clips: Clips) -> None:
    path, counter = clips.clip("h264"), CountingOpener()
    pair = VideoPair.open(path, path, VRTHINKER_128, open_capture=counter)
    assert counter.taken_out == 8
    pair.frames([FrameRef(1, 16), FrameRef(1, 20), FrameRef(2, 21)])
    assert counter.taken_out == 10


def test_asking_for_nothing_gives_nothing() -> None:
    assert open_fake(FakeFile()).frames([]) == ()


def test_opening_without_wanted_frames_still_learns_the_length() -> None:
    file = FakeFile(total=33)
    pair = VideoPair.open(HERE, HERE, VRTHINKER_128, wanted=[], open_capture=file, scan=file.scan)
    assert pair.clips[1].frames == 33
    assert [shade(frame.image) for frame in pair.frames([FrameRef(1, 127), FrameRef(2, 0)])] == [32, 0]


def test_the_older_contract_may_ask_for_frames_of_one_video_only(clips: Clips) -> None:
    path = clips.clip("h264")
    with VideoPair.open(path, path, VR_THINKER_96) as pair:
        frames = pair.frames(VR_THINKER_96.frames_for((1, 2, 48)))
    assert [read_number(frame.image) for frame in frames] == [grid_index(slot, 120, 48) for slot in (0, 1, 47)]


def test_pictures_have_the_contracts_size(clips: Clips) -> None:
    contract = dataclasses.replace(VRTHINKER_128, image_size=(84, 56))
    with VideoPair.open(clips.clip("h264"), clips.clip("vp9"), contract) as pair:
        assert {frame.image.size for frame in pair.frames(contract.initial_frames())} == {(84, 56)}


def test_time_spent_decoding_is_counted(clips: Clips) -> None:
    with VideoPair.open(clips.clip("h264"), clips.clip("vp9"), VRTHINKER_128) as pair:
        opening = pair.seconds
        pair.frames([FrameRef(1, 1)])
        more = pair.seconds
        pair.frames([FrameRef(1, 1)])
        assert 0 < opening < more == pair.seconds


def test_one_pair_serves_many_threads(clips: Clips) -> None:
    path = clips.clip("h264")
    with VideoPair.open(path, path, VRTHINKER_128) as pair, ThreadPoolExecutor(8) as threads:
        asked = [[FrameRef(1 + n % 2, slot) for slot in range(n, 128, 16)] for n in range(16)]  # type: ignore[arg-type]
        shown = list(threads.map(pair.frames, [*asked, *asked]))
    for refs, frames in zip([*asked, *asked], shown, strict=True):
        assert [read_number(frame.image) for frame in frames] == [grid_index(ref.slot, 120, 128) for ref in refs]
    assert all(
        a is b for first, again in zip(shown[:16], shown[16:], strict=True) for a, b in zip(first, again, strict=True)
    )


def test_many_pairs_are_decoded_at_the_same_time(clips: Clips) -> None:
    paths = [clips.clip(kind) for kind in ("h264", "vp9", "gif", "open_gop_ts", "vfr_mkv", "mpeg4")]

    def shown(number: int) -> list[int | None]:
        with VideoPair.open(paths[number], paths[(number + 1) % len(paths)], VRTHINKER_128) as pair:
            return [read_number(frame.image) for frame in pair.frames(VRTHINKER_128.initial_frames())]

    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(shown, list(range(6)) * 2))
    assert results == [[15, 45, 75, 105, 15, 45, 75, 105]] * 12


def test_the_error_says_which_video_it_is(clips: Clips) -> None:
    good, bad = clips.clip("h264"), clips.other("text.mp4")
    with pytest.raises(MediaError, match=r"^Video 1 \(text\.mp4\) is text"):
        VideoPair.open(bad, good, VRTHINKER_128)
    with pytest.raises(MediaError, match=r"^Video 2 \(text\.mp4\) is text"):
        VideoPair.open(good, bad, VRTHINKER_128)


def test_a_file_that_vanishes_between_turns_is_a_media_error(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "passing.mp4"
    path.write_bytes(clips.clip("h264", Shape(30, 64, 48)).read_bytes())
    pair = VideoPair.open(path, path, VRTHINKER_128)
    path.unlink()
    assert len(pair.frames(VRTHINKER_128.initial_frames())) == 8
    with pytest.raises(MediaError, match=r"Video 1 \(passing\.mp4\) does not exist"):
        pair.frames([FrameRef(1, 5)])
