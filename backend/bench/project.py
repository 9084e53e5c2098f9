"""What a project manager waits for, measured.

Starts a Label Studio of its own on SQLite, in a temporary folder, and ends it. See `workload` and `answered`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from backend.bench.answered import measure_sync
from backend.bench.workload import measure_page, measure_project
from backend.demo.label_studio import LabelStudio, install_label_studio
from backend.demo.process import Processes, free_port
from backend.demo.secret import new_credentials
from backend.label_studio.client import LabelStudioClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.bench.report import Measure


def measure(folder: Path) -> Iterator[Measure]:
    """Every figure, one after the other."""
    page = folder / "page"
    page.mkdir()
    yield from measure_page(page)
    with Processes(folder / "run") as processes:
        program = install_label_studio(processes)
        server = LabelStudio(
            program, folder / "data", folder / "files", free_port(0), new_credentials(), folder / "log"
        )
        running = processes.start(server.command())
        ready = server.wait(running)
        client = LabelStudioClient(ready.url, ready.credentials.personal_access_token)
        try:
            yield from measure_project(client, folder, lambda: _cpu(running.pid))
            yield from measure_sync(client, folder)
        finally:
            client.close()


def _cpu(pid: int) -> float:
    """CPU seconds of a process and those it started."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))
