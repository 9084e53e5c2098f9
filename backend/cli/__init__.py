"""The command `vrthinker`: thin commands, one module each, and one place that turns errors into exit codes."""

from __future__ import annotations

import sys

import typer

from backend.cli import (
    alive,
    bench,
    demo,
    doctor,
    export,
    finetune,
    infer,
    preannotate,
    processes,
    project,
    report,
    settings,
    steering,
)
from backend.cli.exits import exit_code
from backend.errors import VRThinkerError


def build_app() -> typer.Typer:
    """Every command under one name."""
    app = typer.Typer(
        name="vrthinker",
        help="Judge pairs of videos with VR-Thinker, by hand or inside Label Studio.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in (
        infer,
        demo,
        project,
        preannotate,
        steering,
        export,
        report,
        finetune,
        doctor,
        bench,
        processes,
        settings,
        alive,
    ):
        module.add_to(app)
    return app


def main() -> None:
    """Run the command line; an error of ours is one message on stderr, never a traceback."""
    try:
        build_app()()
    except VRThinkerError as error:
        typer.echo(f"vrthinker: {error}", err=True)
        sys.exit(exit_code(error))
