"""`vrthinker demo`: the whole product on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End after the table; fails when a prediction is lacking.")
    ] = False,
    label_studio_port: Annotated[int, typer.Option(help="Preferred port of Label Studio.")] = 8080,
    web_port: Annotated[int, typer.Option(help="Preferred port of the ML backend.")] = 9090,
) -> None:
    """Start Redis, Label Studio and the backend here, make clips, judge them, and show the result.

    Runs until Ctrl-C and stops everything it started. What it installs and makes stays in .label-studio and .demo, so
    that the next run is quick. Its settings are its own: .env does not matter.

    \b
    Examples:
      vrthinker demo
      vrthinker demo --once

    \b
    Exit codes: 0 every pair has its prediction, 1 one lacks it or something could not be started,
    130 interrupted before the table.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.demo.run import run_demo

    raise typer.Exit(run_demo(once=once, label_studio_port=label_studio_port, web_port=web_port))
