"""Tasks that share a video decode it once, and whatever goes wrong with the cache is only a miss."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from backend.bench.clips import Shape, read_number
from backend.frames import FrameCache, VideoPair
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import FrameRef
from tests.clips import with_damage
from tests.unit.frames.fakes import CountingOpener

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clips import Clips

FRAME_BYTES = 448 * 448 * 3
ROOM = 1000 * FRAME_BYTES


def shown(path: Path, folder: Path) -> list[tuple[int, int, float, bytes]]:
    """Everything that a pair shows of its initial frames and of some more."""
    with VideoPair.open(path, path, VRTHINKER_128, cache=FrameCache(folder, ROOM)) as pair:
        refs = [*VRTHINKER_128.initial_frames(), *(FrameRef(2, slot) for slot in range(0, 128, 9))]
        return [(frame.index, frame.wanted, frame.seconds, frame.image.tobytes()) for frame in pair.frames(refs)]


@pytest.mark.parametrize("kind", ["h264", "vp9", "cut", "vfr_mkv", "truncated_mp4"])
def test_the_second_task_gets_the_same_frames_without_decoding(kind: str, clips: Clips, tmp_path: Path) -> None:
    path = clips.clip(kind)
    first = shown(path, tmp_path)
    counter = CountingOpener()
    with VideoPair.open(path, path, VRTHINKER_128, cache=FrameCache(tmp_path, ROOM), open_capture=counter) as pair:
        pair.frames(VRTHINKER_128.initial_frames())
        assert pair.clips[0].frames == len(set(range(pair.clips[1].frames)))
    assert counter.grabs == 0
    assert shown(path, tmp_path) == first == shown(path, tmp_path / "another")


def test_frames_of_later_turns_are_kept_too(clips: Clips, tmp_path: Path) -> None:
    path, counter = clips.clip("h264"), CountingOpener()
    refs = [FrameRef(1, 3), FrameRef(2, 77)]
    VideoPair.open(path, path, VRTHINKER_128, cache=FrameCache(tmp_path, ROOM)).frames(refs)
    frames = VideoPair.open(path, path, VRTHINKER_128, cache=FrameCache(tmp_path, ROOM), open_capture=counter).frames(
        refs
    )
    assert counter.grabs == 0
    assert [read_number(frame.image) for frame in frames] == [grid_index(slot, 120, 128) for slot in (3, 77)]


def test_a_changed_file_is_decoded_again(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    shutil.copy(clips.clip("h264"), path)
    assert VideoPair.open(path, path, VRTHINKER_128, cache=FrameCache(tmp_path / "cache", ROOM)).clips[0].frames == 120
    shutil.copy(clips.clip("h264", Shape(30, 64, 48)), path)
    assert VideoPair.open(path, path, VRTHINKER_128, cache=FrameCache(tmp_path / "cache", ROOM)).clips[0].frames == 30


@pytest.mark.parametrize("damage", ["cut", "garbled", "gone"])
def test_a_damaged_cache_is_a_miss(damage: str, clips: Clips, tmp_path: Path) -> None:
    path, folder = clips.clip("h264"), tmp_path / "cache"
    first = shown(path, folder)
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:100] if damage == "cut" else b"{}")
    assert shown(path, folder) == first


def test_the_cache_forgets_the_least_recently_used_videos(clips: Clips, tmp_path: Path) -> None:
    paths = [clips.clip(kind) for kind in ("h264", "vp9", "mpeg4")]
    for age, path in enumerate(paths):
        VideoPair.open(path, path, VRTHINKER_128, cache=FrameCache(tmp_path, 9 * FRAME_BYTES))
        for facts in tmp_path.glob("*/clip.json"):
            os.utime(facts, (facts.stat().st_mtime - 10, facts.stat().st_mtime - 10))
        assert len(list(tmp_path.iterdir())) == min(age + 1, 2)
    counter = CountingOpener()
    VideoPair.open(paths[1], paths[2], VRTHINKER_128, cache=FrameCache(tmp_path, ROOM), open_capture=counter)
    assert counter.grabs == 0
    VideoPair.open(paths[0], paths[0], VRTHINKER_128, cache=FrameCache(tmp_path, ROOM), open_capture=counter)
    assert counter.grabs > 0


def test_a_folder_that_cannot_be_written_costs_only_the_saving(clips: Clips, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert len(shown(clips.clip("h264"), blocked / "cache")) == 8 + 15


def test_a_file_with_holes_that_nothing_tells_about_is_not_kept(clips: Clips, tmp_path: Path) -> None:
    damaged = with_damage(clips.clip("vfr_mp4").read_bytes(), 0.4, 0.05)
    path = clips.write("damaged_for_cache.mp4", damaged)
    assert shown(path, tmp_path / "cache") == shown(path, tmp_path / "cache")


def test_many_threads_and_processes_share_one_cache(clips: Clips, tmp_path: Path) -> None:
    paths = [clips.clip(kind) for kind in ("h264", "vp9", "mpeg4")] * 3
    right = {path: shown(path, tmp_path / "alone") for path in set(paths)}
    folders = [tmp_path / "shared"] * len(paths)
    with ThreadPoolExecutor(4) as threads, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        by_threads = list(threads.map(shown, paths, folders))
        by_processes = list(processes.map(shown, paths, folders))
    assert by_threads == by_processes == [right[path] for path in paths]
