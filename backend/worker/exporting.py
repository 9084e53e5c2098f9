"""Writes the exports that people asked for with Start Training, each in a process of its own.

An export of a large project takes minutes and much memory, and its libraries are heavy: a publisher goes on meanwhile,
stays small, and outlives one that is killed.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from backend.jobs.looking import look_until
from backend.ledger import ExportState
from backend.log import line

if TYPE_CHECKING:
    from threading import Event

    from backend.ledger import ExportRequest, Ledger

logger = logging.getLogger(__name__)

RENEW_S = 15.0  # far below the ledger's lease
LOOK_S = 0.5  # a publisher that is asked to stop takes its export with it
LONGEST_SAID = 1000  # characters of a failure


class Exporting:
    """Looks for wishes in the ledger, and grants one at a time."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        """`folder` is where datasets go, one folder for each project and moment."""
        self._ledger = ledger
        self._folder = folder

    def run_until(self, stopped: Event, every_s: float) -> None:
        """Write what was asked for, and look again `every_s` seconds later."""

        def look() -> None:
            while not stopped.is_set() and (request := self._ledger.begin_export()):
                self.write(request, stopped)

        look_until(stopped, every_s, look, "exports not looked for")

    def write(self, request: ExportRequest, stopped: Event) -> None:
        """Write one, and say in the ledger what came of it; when stopped meanwhile, the next publisher does it anew.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        out = self._place(request)
        logger.info(line("export begun", project=request.project, folder=out))
        command = _command(request.project, out)
        try:
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # noqa: S603  # ours
        except OSError as error:
            self._end(request, ExportState.FAILED, message=f"vrthinker export cannot be started: {error}.")
            return
        with running:
            try:
                said = self._wait(running, request, stopped)
            except BaseException:
                running.terminate()
                raise
        if stopped.is_set():
            return
        if running.returncode == 0:
            self._end(request, ExportState.DONE, folder=str(out))
        else:
            self._end(request, ExportState.FAILED, message=said or f"It ended with {running.returncode}.")

    def _place(self, request: ExportRequest) -> Path:
        moment = request.asked_at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        return self._folder.absolute() / f"project-{request.project}" / moment

    def _wait(self, running: subprocess.Popen[bytes], request: ExportRequest, stopped: Event) -> str:
        """Until it ends; the last thing it said."""
        renewed = time.monotonic()
        while True:
            try:
                _, said = running.communicate(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                if stopped.is_set():
                    running.terminate()
                elif time.monotonic() - renewed > RENEW_S:
                    self._ledger.renew_export(request.project)
                    renewed = time.monotonic()
            else:
                lines = said.decode(errors="replace").strip().splitlines()
                return lines[-1].removeprefix("vrthinker: ")[:LONGEST_SAID] if lines else ""

    def _end(self, request: ExportRequest, state: ExportState, *, folder: str = "", message: str = "") -> None:
        self._ledger.end_export(request.project, state, folder=folder, message=message)
        logger.info(line("export ended", project=request.project, state=state, folder=folder or None, message=message))


def _command(project: int, out: Path) -> list[str]:
    """What people corrected, in every format that trainers read."""
    program = str(Path(sys.executable).with_name("vrthinker"))
    return [program, "export", str(project), "--out", str(out), "--only", "disagreements", "--frames", "--json"]
