"""Each process loads only what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("backend.worker.publish", ("torch", "transformers", "cv2")),
        ("backend.jobs.judging", ("sqlalchemy", "flask")),
        ("backend.queue", ("torch", "transformers", "cv2", "numpy", "sqlalchemy")),
    ],
)
def test_a_process_loads_only_what_it_needs(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []
