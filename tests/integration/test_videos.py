"""The judge worker's own wiring, on real video files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import imageio_ffmpeg

from backend.ledger import Key, State
from backend.types import PairwiseTask
from tests.integration.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Stack


def make_clip(path: Path) -> str:
    """Two seconds of a test picture, as browsers play it."""
    picture = ("-f", "lavfi", "-i", "testsrc=duration=2:size=64x48:rate=8")
    encoder = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-loglevel", "error", *picture, *encoder, str(path)], check=True, timeout=60)
    return str(path)


def test_one_unusable_video_stops_nothing_else_and_each_leaves_its_reason(stack: Stack, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    (tmp_path / "text.mp4").write_text("This is no video.")
    bad = {
        1: str(tmp_path / "text.mp4"),
        2: str(tmp_path / "gone.mp4"),
        3: "/etc/hostname",
        4: "http://169.254.169.254/latest/meta-data",
    }
    stack._start("files", "0", MEDIA_ROOTS=str(tmp_path), MEDIA_CACHE_DIR=str(tmp_path / "cache"))
    stack.publisher()
    stack.enter(
        *(PairwiseTask(1, task, clip, video, "a dog runs") for task, video in bad.items()),
        PairwiseTask(1, 5, clip, clip, "a dog runs"),
    )
    wait_for(stack.settled)
    assert stack.state(5) is State.PUBLISHED
    [group] = stack.ledger.failures(1)
    assert (group.reason, group.tasks) == ("media", [1, 2, 3, 4])
    judgement = stack.ledger.judgement(Key(1, 5, stack.version))
    assert judgement is not None
    assert [(clip.frames, clip.fps, clip.width, clip.height) for clip in judgement.clips] == [(16, 8.0, 64, 48)] * 2
    assert len(judgement.frames) == 8
    # Kept for other tasks with the same video, which here is both of the pair.
    [facts] = (tmp_path / "frames").glob("*/clip.json")
    assert len(list(facts.parent.glob("*.rgb"))) == 4
