"""Real processes that end with the one that started them, and say why when they end too early.

Every process runs behind a leash (`leash.py`) in a process group of its own and is recorded in a small file, so that a
later run finds and ends what an earlier one left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from backend.errors import ServiceError
from backend.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LEASH = Path(__file__).with_name("leash.py")
STOP_S = 15.0
POLL_S = 0.1
LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start: `name` for people, the log its output goes to, and what its environment is.

    `environment` is added to this process's own, or is all there is when `isolated`. It runs in `folder`, which is made
    where it is missing; by default where this process runs.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    isolated: bool = False
    folder: Path | None = None


class Running:
    """A started process; `pid` is the command's own, not the leash's."""

    def __init__(self, command: Command, leash: subprocess.Popen[bytes], record: Path) -> None:
        """Made by `start`."""
        self.command = command
        self._leash = leash
        self._record = record
        self.stopped = False

    @property
    def alive(self) -> bool:
        """Whether the command still runs."""
        return self._leash.poll() is None

    @property
    def pid(self) -> int:
        """The command's process id.

        Raises:
            ServiceError: it has ended.
        """
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline:
            self.require_alive()
            with contextlib.suppress(psutil.NoSuchProcess):
                if children := psutil.Process(self._leash.pid).children():
                    return children[0].pid
            time.sleep(POLL_S / 10)
        raise ServiceError(f"{self.command.name} did not start within {STOP_S:.0f} s; see {self.command.log}.")

    def require_alive(self) -> None:
        """Raise with the end of its log when it has ended.

        Raises:
            ServiceError: names the process, its exit code, its last lines and its log.
        """
        if not self.alive:
            code = self._leash.returncode
            raise ServiceError(f"{self.command.name} ended with exit code {code}.\n{self._last_words()}")

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait for `ready()`.

        Raises:
            ServiceError: the process ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.require_alive()
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.command.name} was not ready after {timeout_s:.0f} s.\n{self._last_words()}")
            time.sleep(POLL_S)

    def finish(self, *, timeout_s: float) -> None:
        """Wait for its own end.

        Raises:
            ServiceError: it failed, or the time is over.
        """
        try:
            code = self._leash.wait(timeout_s)
        except subprocess.TimeoutExpired:
            message = f"{self.command.name} was not done after {timeout_s:.0f} s.\n{self._last_words()}"
            raise ServiceError(message) from None
        finally:
            self.stop()
        if code:
            raise ServiceError(f"{self.command.name} failed with exit code {code}.\n{self._last_words()}")

    def stop(self) -> None:
        """End it and everything it started; nothing happens when it has ended already."""
        self.stopped = True
        if self._leash.stdin:
            self._leash.stdin.close()
        try:
            self._leash.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _end_group(self._leash.pid)
            self._leash.wait()
        self._record.unlink(missing_ok=True)

    def _last_words(self) -> str:
        lines = self.command.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([f"The last lines of {self.command.log}:", *(f"  {line}" for line in lines)])


def start(command: Command, records: Path) -> Running:
    """Start a command; what an earlier run left under the same name and records folder is ended first.

    Raises:
        ServiceError: the program is not there.
    """
    records.mkdir(parents=True, exist_ok=True)
    command.log.parent.mkdir(parents=True, exist_ok=True)
    record = records / f"{command.name.lower().replace(' ', '-')}.json"
    end_leftover(record)
    if not Path(command.argv[0]).is_file():
        raise ServiceError(f"{command.name} cannot start: there is no program {command.argv[0]}.")
    if command.folder:
        command.folder.mkdir(parents=True, exist_ok=True)
    environment = dict(command.environment) if command.isolated else child_environment(command.environment)
    with command.log.open("ab") as log:
        leash = subprocess.Popen(  # noqa: S603  # our own commands
            (sys.executable, "-I", str(LEASH), *command.argv),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=command.folder,
            start_new_session=True,  # Ctrl-C reaches the demo only, which then stops everything in order
        )
    running = Running(command, leash, record)
    _remember(record, leash.pid)
    with contextlib.suppress(ServiceError):  # over already: whoever waits for it tells why
        _remember(record, leash.pid, running.pid)
    return running


class Processes:
    """Everything one run has started; leaving the `with` block ends it all, the newest first. Safe for threads."""

    def __init__(self, records: Path) -> None:
        """`records` is the folder that a later run looks into for leftovers."""
        self._records = records
        self._running: list[Running] = []
        self._services: list[Running] = []
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self, command: Command) -> Running:
        """Start a service, which runs until it is stopped.

        Raises:
            ServiceError: its program is not there, or everything is being stopped.
        """
        running = self.begin(command)
        self._services.append(running)
        return running

    def begin(self, command: Command) -> Running:
        """Start one that does its work and ends; `finish` it.

        Raises:
            ServiceError: its program is not there, or everything is being stopped.
        """
        with self._lock:
            if self._closed:
                raise ServiceError(f"{command.name} was not started: everything is being stopped.")
            running = start(command, self._records)
            self._running.append(running)
            return running

    def require_alive(self) -> None:
        """Raise for the first service that has ended without being stopped.

        Raises:
            ServiceError: names it, with the end of its log.
        """
        for running in self._services:
            if not running.stopped:
                running.require_alive()

    def stop(self) -> None:
        """End everything; nothing can be started afterwards."""
        with self._lock:
            self._closed = True
        while self._running:
            self._running.pop().stop()


def _remember(record: Path, *pids: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        record.write_text(json.dumps([{"pid": pid, "started": psutil.Process(pid).create_time()} for pid in pids]))


def end_leftover(record: Path) -> bool:
    """End the process groups that a record names, if they are still the same processes; whether there were any."""
    try:
        entries = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        return False
    found = False
    for entry in entries:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(entry["pid"])
            if process.create_time() == entry["started"]:
                found = True
                _end_group(process.pid)
    record.unlink(missing_ok=True)
    return found


def _end_group(group: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            psutil.Process(group).wait(STOP_S)
            return


def free_port(preferred: int) -> int:
    """`preferred` when nothing listens there on loopback, else a free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an old connection's TIME_WAIT is no obstacle
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                chosen: int = probe.getsockname()[1]
                return chosen
    raise ServiceError("This machine has no free TCP port on 127.0.0.1.")


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; the system drops it however this process ends.

    Raises:
        BlockingIOError: someone else holds it and `wait` is off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
