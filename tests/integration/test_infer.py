"""`vrthinker infer` as people run it: a process of its own with the bundled checkpoint."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from backend.demo.services import VRTHINKER
from tests.e2e.numbered import Numbered

if TYPE_CHECKING:
    from pathlib import Path


def test_the_bundled_checkpoint_holds_a_real_conversation_about_two_local_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Numbered(name, 24, 24.0).make(tmp_path)
    command = [str(VRTHINKER), "infer", "--video1", "one.mp4", "--video2", "two.mp4", "--prompt", "Bars that count."]

    done = subprocess.run(
        [*command, "--trace", "trace.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    answer = json.loads(done.stdout)
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert list(answer) == ["TA", "MQ", "VQ", "OA"]
    assert answer == trace["answer"]
    assert done.returncode == (3 if None in answer.values() else 0), done.stderr
    assert all(turn["completion_tokens"] > 0 for turn in trace["turns"])
    assert len(trace["frames"]) >= 8
    assert [line for line in done.stderr.splitlines() if line.startswith("Turn ")], done.stderr
