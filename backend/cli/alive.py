"""`vrthinker alive`: the health check of a worker's or the publisher's container."""

from __future__ import annotations

import socket
from typing import Annotated, Literal

import typer

from backend.errors import QueueError
from backend.queue import WorkQueue
from backend.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(alive)


def alive(
    role: Annotated[
        Literal["judge", "publish"], typer.Argument(help="judge for the worker, publish for the publisher.")
    ],
) -> None:
    """Succeed when such a process of this machine lives; meant for container health checks.

    \b
    Examples:
      vrthinker alive judge
      vrthinker alive publish

    \b
    Exit codes: 0 one does, 1 none does or Redis cannot be used, 2 a wrong option or setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    for worker in WorkQueue.connect(load_settings()).workers():
        if worker.role == role and worker.name.startswith(f"{socket.gethostname()}-"):
            typer.echo(f"{worker.name} lives, {worker.state}")
            return
    raise QueueError(f"No {role} process of {socket.gethostname()} gives signs of life. Read its log.")
