"""The product's web process, started by a test."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from backend.ledger import Ledger
    from backend.queue import WorkQueue

VRTHINKER = str(Path(sys.executable).with_name("vrthinker"))
MODEL = {"model": "tiny", "model_revision": "r1"}


@dataclass
class Web:
    """A running web process, its address, and what it writes to."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    ledger: Ledger
    queue: WorkQueue
    log: Path

    def healthy(self) -> bool:
        """Whether it answers; fails when it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False


def start_web(folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """`vrthinker web` with these environment variables and no others; its log is `web.log` in the folder."""
    settings = {"MODEL": MODEL["model"], "MODEL_REVISION": MODEL["model_revision"], "PATH": os.defpath}
    with (folder / "web.log").open("wb") as log:
        return subprocess.Popen([VRTHINKER, "web"], stdout=log, stderr=log, cwd=folder, env={**settings, **environment})
