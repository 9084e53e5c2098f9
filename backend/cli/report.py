"""`vrthinker report`: how far the model and people agree."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.bootstrap import connect_label_studio, open_fetcher, open_ledger
from backend.cli.arguments import AsJson, Project, moment
from backend.errors import ExportError
from backend.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.status import Status

    from backend.report.figures import Report
    from backend.report.strip import Strips
    from backend.settings import Settings
    from backend.types import PairwiseTask

LIBRARIES = ("numpy", "matplotlib", "sklearn", "statsmodels", "krippendorff")  # of the extra `export`


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    project: Project,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report; an older report there is replaced.")],
    model_version: Annotated[
        list[str] | None,
        typer.Option(metavar="VERSION", help="Only this version; repeatable. Default: all that judged the project."),
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Only answers changed since then: 2026-05-01 (UTC).")] = "",
    frames: Annotated[
        bool, typer.Option("--frames", help="With frames of the hardest pairs; fetches and decodes their videos.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a report on how far the model and people agree: report.html, report.json and report.csv.

    Reads the ledger; Label Studio is needed for --frames only. Answers given with the model's judgement in view and
    blind ones stand side by side, never in one number. Skipped, deleted and bulk-created answers are counted apart.

    \b
    Examples:
      vrthinker report 7 --out report-7
      vrthinker report 7 --out report-7 --since 2026-05-01 --frames

    \b
    Exit codes: 0 written, 1 failed (the ledger, a full disk), 2 a wrong option or unknown project.
    """  # noqa: D301  # \b keeps the help's line breaks
    from rich.console import Console

    _check_libraries()
    from backend.report import folder
    from backend.report.compose import report_on
    from backend.report.gather import Wanted

    folder.check(out)
    settings, console = load_settings(), Console(stderr=True)
    wanted = Wanted(tuple(model_version or ()), moment(since) if since else None)
    ledger = open_ledger(settings)
    with ExitStack() as stack:
        stack.callback(ledger.close)
        status = stack.enter_context(console.status("Reading the ledger ..."))
        draw = _drawing(settings, stack, status) if frames else None
        told = partial(_tell, status)
        made = report_on(ledger, project, wanted, made_at=datetime.now(UTC), told=told, draw=draw)
        status.update("Writing the report ...")
        folder.write(made, out, label_studio_url=settings.public_url)
    _say(console, made, out, as_json=as_json)


def _check_libraries() -> None:
    """Before minutes are spent on figures that then have no library."""
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise ExportError(f"Reports need {', '.join(missing)}. Install them: pip install 'vrthinker[export]'.")


def _drawing(settings: Settings, stack: ExitStack, status: Status) -> Callable[[PairwiseTask], Strips]:
    """Pictures of a pair, whose videos are fetched as a worker fetches them."""
    from backend.report.strip import strips_of

    client = connect_label_studio(settings)
    stack.callback(client.close)
    fetcher = open_fetcher(settings, client)

    def draw(task: PairwiseTask) -> Strips:
        status.update(f"Frames of task {task.task} ...")
        return strips_of(task, fetcher)

    return draw


def _tell(status: Status, count: int) -> None:
    status.update(f"Answers read: {count:,} ...")


def _say(console: Console, made: Report, out: Path, *, as_json: bool) -> None:
    from backend.report.folder import FIGURES, PAGE, TABLE

    page, counts = out / PAGE, made.counts
    if as_json:
        files = {"page": str(page), "figures": str(out / FIGURES), "table": str(out / TABLE)}
        told = {"answers": counts.answers, "versions": [version.model_version for version in made.versions]}
        typer.echo(json.dumps({"project": made.project, **files, **told}))
        return
    left = sum(counts.left.values())
    text = f"{counts.answers} answers, {left} not counted, {len(made.versions)} model versions: {page}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)
