"""What a project manager waits for, measured: `python -m backend.demo.rates [--json FILE]`.

Starts a Label Studio of its own on SQLite, in a temporary folder, and ends it. See `workload`.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from backend.demo.label_studio import LabelStudio, install_label_studio
from backend.demo.process import Processes, free_port
from backend.demo.secret import new_credentials
from backend.demo.workload import measure_page, measure_project
from backend.label_studio.client import LabelStudioClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.bench.web import Measure


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
        finally:
            client.close()


def _cpu(pid: int) -> float:
    """CPU seconds of a process and those it started."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def main(json_file: Annotated[Path | None, typer.Option("--json", help="Save the figures here too.")] = None) -> None:
    """Measure, print, and end with 1 when a limit is missed."""
    before = f"load average before: {psutil.getloadavg()[0]:.1f}"
    table = Table("measure", "value", "limit", "", title=f"A project on {psutil.cpu_count()} cores ({before})")
    found: list[Measure] = []
    with tempfile.TemporaryDirectory() as folder:
        for one in measure(Path(folder)):
            found.append(one)
            limit = "" if one.limit is None else f"< {one.limit:g} {one.unit}"
            mark = "" if one.limit is None else "met" if one.passed else "MISSED"
            table.add_row(one.name, f"{one.value:.3g} {one.unit}", limit, mark)
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    raise typer.Exit(0 if all(one.passed for one in found) else 1)


if __name__ == "__main__":
    typer.run(main)
