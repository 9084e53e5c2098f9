"""The numbers on the clips can be trusted, and the bench counts what it shows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from backend.bench.clips import Shape, encode, paint, read_number
from backend.bench.frames import Row, bench_frames, card_pictures, our_pictures, spread
from backend.bench.report import frames_table
from backend.errors import VRThinkerError
from backend.reasoning.contract import VRTHINKER_128

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clips import Clips


@pytest.mark.parametrize(
    "shape", [Shape(4096, 16, 8), Shape(300, 51, 37), Shape(300, 90, 160), Shape(20, 640, 360)], ids=str
)
def test_every_frame_carries_its_number(shape: Shape) -> None:
    assert [read_number(Image.fromarray(frame)) for frame in paint(shape)] == list(range(shape.frames))


def test_a_picture_without_a_number_reads_as_none() -> None:
    numbered = next(paint(Shape(1, 64, 48)))
    for pixels in (np.zeros_like(numbered), np.full_like(numbered, 255), np.full_like(numbered, 128), 255 - numbered):
        assert read_number(Image.fromarray(pixels)) is None
    assert read_number(Image.fromarray(np.rot90(numbered).copy())) is None


def test_two_frames_mixed_into_one_read_as_none() -> None:
    frames = [frame.astype(int) for frame in paint(Shape(8, 64, 48))]
    assert read_number(Image.fromarray(((frames[2] + frames[5]) // 2).astype(np.uint8))) is None


def test_slots_are_spread_as_the_contract_spreads_its_initial_ones() -> None:
    assert spread(4, VRTHINKER_128) == VRTHINKER_128.initial_slots()
    assert spread(128, VRTHINKER_128) == tuple(range(128))


def test_the_bench_counts_right_frames_and_compares_like_with_like(clips: Clips) -> None:
    files = {kind: clips.clip(kind) for kind in ("h264", "truncated_webm", "live_webm")}
    bench = bench_frames(files, slots=(4, 48), repeats=1)
    assert [(row.clip, row.turns, row.shown) for row in bench.rows] == [
        (kind, turns, shown) for kind in files for turns, shown in ((1, 8), (1, 96), (6, 128))
    ]
    assert all(row.exact == row.shown for row in bench.rows)
    assert all(row.card_exact == row.shown for row in bench.rows if row.clip == "h264")
    assert all(row.card_exact < row.shown / 2 for row in bench.rows if row.clip != "h264")
    assert all(min(row.seconds, row.card_seconds, row.cpu_seconds, row.card_cpu_seconds) > 0 for row in bench.rows)
    printed = io.StringIO()
    Console(file=printed, width=200).print(frames_table(bench))
    assert all(kind in printed.getvalue() for kind in files)


def test_both_ways_show_the_same_pixels_where_both_are_right(clips: Clips) -> None:
    rounds = (VRTHINKER_128.initial_slots(), (0, 5, 127))
    path = clips.clip("h264")
    ours, card = our_pictures(path, rounds, VRTHINKER_128), card_pictures(path, rounds, VRTHINKER_128)
    assert [one and one.tobytes() for one in ours] == [one and one.tobytes() for one in card]


def test_many_slots_of_a_short_clip_have_the_high_target() -> None:
    def target(shown: int, frames: int) -> float:
        return Row("any", frames, 1, shown, shown, shown, 1.0, 2.0, 1.0, 2.0).target

    assert [target(96, 120), target(8, 120), target(96, 1800)] == [6.0, 1.0, 1.0]


def test_what_ffmpeg_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(VRThinkerError, match="not divisible by 2"):
        encode(tmp_path / "odd.mp4", Shape(2, 33, 33), "-c:v", "libx264", "-pix_fmt", "yuv420p")
