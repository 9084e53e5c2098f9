"""`vrthinker doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from backend.bootstrap import connect_label_studio
from backend.cli.arguments import FIRST_PROJECT, AsJson
from backend.cli.exits import ExitCode
from backend.cli.project import default_backend_url
from backend.queue import WorkQueue
from backend.settings import load_settings

if TYPE_CHECKING:
    from backend.doctor import Finding


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    project: Annotated[
        int | None,
        typer.Argument(metavar="PROJECT", min=FIRST_PROJECT, help="Look at this project's connection and videos too."),
    ] = None,
    *,
    backend_url: Annotated[
        str, typer.Option(help="The web process as seen from here. Default: http://HOST:PORT.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check every link: Label Studio, API key, ledger, Redis, workers, web process, and a project's connection.

    \b
    Examples:
      vrthinker doctor
      vrthinker doctor 7 --json

    \b
    Exit codes: 0 all is well, 1 something is not, 2 a wrong option or setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.doctor import examine

    settings = load_settings()
    client, queue = connect_label_studio(settings), WorkQueue.connect(settings)
    found: list[Finding] = []
    try:
        for finding in examine(
            settings, client, queue, web_url=(backend_url or default_backend_url(settings)).rstrip("/"), project=project
        ):
            found.append(finding)
            if not as_json:
                _show(finding)
    finally:
        client.close()
        queue.connection.close()
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], ensure_ascii=False))
    if not all(finding.ok for finding in found):
        raise typer.Exit(ExitCode.FAILED)


def _show(finding: Finding) -> None:
    typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.name}: {finding.said}")
    if finding.advice:
        typer.echo(f"     -> {finding.advice}")
