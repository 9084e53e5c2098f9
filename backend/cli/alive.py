"""`vrthinker alive`: the health check of a worker's or the publisher's container."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer

from backend.errors import QueueError
from backend.queue import WorkQueue
from backend.settings import load_settings

SILENCE = timedelta(seconds=90)  # beats come every few seconds, also while a pair is judged


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(alive)


def alive(
    role: Annotated[
        Literal["judge", "publish"], typer.Argument(help="judge for the worker, publish for the publisher.")
    ],
) -> None:
    """Succeed when a process of this machine gave a sign of life lately; meant for container health checks.

    \b
    Examples:
      vrthinker alive judge
      vrthinker alive publish

    \b
    Exit codes: 0 one did, 1 none did or Redis cannot be used, 2 a wrong option or setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    now = datetime.now(UTC)
    for worker in WorkQueue.connect(load_settings()).workers():
        here = worker.role == role and worker.name.startswith(f"{socket.gethostname()}-")
        if here and worker.heartbeat is not None and now - worker.heartbeat < SILENCE:
            typer.echo(f"{worker.name} is {worker.state}, last beat {worker.heartbeat:%H:%M:%S} UTC")
            return
    raise QueueError(
        f"No {role} process of {socket.gethostname()} gave a sign of life in the last {SILENCE.seconds} s."
    )
