"""`vrthinker bench`: how fast this machine is, against the model card's loop and against its own limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.bench.commands import build_app

if TYPE_CHECKING:
    import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(build_app(), name="bench")
