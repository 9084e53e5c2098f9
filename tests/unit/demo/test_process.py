"""Real processes: they end when they should, and say why when they should not have."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from backend.demo.process import Command, end_leftover, free_port, locked, start
from backend.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.demo.process import Running

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
OWNER = """
import sys, time
from pathlib import Path
from backend.demo.process import Command, start
folder = Path(sys.argv[1])
running = start(Command("Sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), folder / "log"), folder)
print(running.pid, flush=True)
time.sleep(600)
"""


def _gone(pid: int, within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def _python(code: str, folder: Path, name: str = "Sleeper") -> Command:
    return Command(name, (sys.executable, "-c", code), folder / "log.txt")


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Running]:
    running = start(_python(SLEEP, tmp_path), tmp_path)
    yield running
    running.stop()


def test_stopping_ends_what_the_command_itself_started(tmp_path: Path) -> None:
    running = start(_python(PARENT, tmp_path), tmp_path)
    command = psutil.Process(running.pid)
    while not command.children():
        time.sleep(0.05)
    pids = [command.pid, command.children()[0].pid]

    running.stop()

    assert not running.alive
    assert all(_gone(pid) for pid in pids)
    assert list(tmp_path.glob("*.json")) == []


def test_a_command_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    running = start(_python(STUBBORN, tmp_path), tmp_path)
    running.wait_until(lambda: "ready" in (tmp_path / "log.txt").read_text(), timeout_s=20)
    pid = running.pid

    running.stop()

    assert _gone(pid)


def test_processes_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()

    assert _gone(pid)


def test_what_an_earlier_run_left_behind_is_ended(sleeper: Running, tmp_path: Path) -> None:
    leash = psutil.Process(sleeper.pid).parent()
    assert leash is not None
    leash.kill()  # nobody holds the leash any more
    pid = json.loads((tmp_path / "sleeper.json").read_text())[1]["pid"]
    assert psutil.pid_exists(pid)

    assert end_leftover(tmp_path / "sleeper.json")

    assert _gone(pid)


def test_a_process_that_merely_got_an_old_number_is_left_alone(sleeper: Running, tmp_path: Path) -> None:
    record = tmp_path / "old.json"
    record.write_text(json.dumps([{"pid": sleeper.pid, "started": 1.0}]))

    assert not end_leftover(record)

    assert sleeper.alive
    assert not record.exists()


def test_a_damaged_record_means_nothing_was_left(tmp_path: Path) -> None:
    record = tmp_path / "half.json"
    record.write_text('[{"pid": 1')
    assert not end_leftover(record)


def test_an_early_end_is_told_with_the_last_lines_and_the_log(tmp_path: Path) -> None:
    running = start(_python("print('no database'); raise SystemExit(7)", tmp_path, "Web"), tmp_path)

    with pytest.raises(ServiceError) as caught:
        running.wait_until(lambda: False, timeout_s=20)

    assert "Web ended with exit code 7" in str(caught.value)
    assert "  no database" in str(caught.value)
    assert str(tmp_path / "log.txt") in str(caught.value)
    running.stop()


def test_waiting_has_an_end(sleeper: Running) -> None:
    with pytest.raises(ServiceError, match="Sleeper was not ready after 0 s"):
        sleeper.wait_until(lambda: False, timeout_s=0.3)


def test_a_missing_program_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="Nothing cannot start: there is no program /nowhere/program"):
        start(Command("Nothing", ("/nowhere/program",), tmp_path / "log"), tmp_path)


def test_an_isolated_command_sees_only_its_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    show = "import os; print(sorted(set(os.environ) & {'PORT', 'COLOUR'}))"
    for isolated, seen in ((True, "['COLOUR']"), (False, "['COLOUR', 'PORT']")):
        log = tmp_path / f"{isolated}.txt"
        running = start(
            Command("Env", (sys.executable, "-c", show), log, {"COLOUR": "red"}, isolated=isolated), tmp_path
        )
        while running.alive:
            time.sleep(0.05)
        assert log.read_text().strip() == seen
        running.stop()


def test_a_command_runs_in_its_folder(tmp_path: Path) -> None:
    show, folder = "import os; print(os.getcwd())", tmp_path / "made"
    running = start(Command("Folder", (sys.executable, "-c", show), tmp_path / "log", folder=folder), tmp_path)
    while running.alive:
        time.sleep(0.05)
    assert (tmp_path / "log").read_text().strip() == str(folder)
    running.stop()


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port


def test_a_lock_is_held_by_one_and_dropped_at_the_end(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
        pass
    with locked(tmp_path / "lock", wait=False):
        pass
