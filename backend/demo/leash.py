"""Run one command and end it, with everything it started, when whoever asked for it goes away.

`python leash.py COMMAND ...` holds its standard input as the leash: the moment its writing end closes, the command's
process group gets SIGTERM and, if that does not help, SIGKILL. A pipe closes however its owner ends, by `kill -9` too.
A script of its own that imports nothing from this package, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

GRACE_S = 8.0


def main(command: list[str]) -> int:
    """Run the command to its end; its exit code, or 128 plus the signal that ended it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603  # the demo's own command

    def stop(_signal: int = 0, _frame: FrameType | None = None) -> None:
        _signal_group(child.pid, signal.SIGTERM)
        killer = threading.Timer(GRACE_S, _signal_group, (child.pid, signal.SIGKILL))
        killer.daemon = True
        killer.start()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):  # not through `sys.stdin`: its lock would outlive this thread
            pass
        stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    _signal_group(child.pid, signal.SIGKILL)  # whatever the command left behind in its group
    return code if code >= 0 else 128 - code


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
