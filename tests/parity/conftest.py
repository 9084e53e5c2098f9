"""One checkpoint under both loops, and pairs of real clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from imageio_ffmpeg import write_frames

from backend.training.tiny.lesson import draw_pair
from backend.training.tiny.scene import picture
from tests.checkpoints import Checkpoint, load_checkpoint, write_random_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from backend.training.tiny.scene import Scene

SIZE = (320, 240)
FRAMES = (24, 40)


@pytest.fixture(scope="session", params=[1.0, 1.05], ids=["plain", "repetition penalty"])
def random_checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Random weights, without and with the repetition penalty that real checkpoints carry."""
    folder = tmp_path_factory.mktemp("random")
    return load_checkpoint(write_random_checkpoint(folder, seed=5, repetition_penalty=request.param))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """Pairs of H.264 clips of different lengths."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(11)
    pairs = [draw_pair(rng) for _ in range(2)]
    return [
        (
            encode(folder / f"{number}-1.mp4", pair.first, FRAMES[0]),
            encode(folder / f"{number}-2.mp4", pair.second, FRAMES[1]),
        )
        for number, pair in enumerate(pairs)
    ]


def encode(path: Path, scene: Scene, frames: int) -> Path:
    """Film a scene."""
    writer = write_frames(str(path), SIZE, fps=24, codec="libx264", ffmpeg_log_level="error")
    writer.send(None)
    for number in range(frames):
        writer.send(picture(scene, number / frames).resize(SIZE).tobytes())
    writer.close()
    return path
