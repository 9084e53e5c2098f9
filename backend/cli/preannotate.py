"""`vrthinker preannotate`, `status` and `retry`: predictions for a whole project."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.bootstrap import connect_label_studio, open_ledger
from backend.cli.exits import ExitCode
from backend.errors import SettingsError, VRThinkerError
from backend.settings import load_settings
from backend.version import model_version

if TYPE_CHECKING:
    from rich.console import Console

    from backend.label_studio.client import LabelStudioClient
    from backend.ledger import Ledger
    from backend.preannotate import Standing
    from backend.queue import WorkQueue

INTERRUPTED = 130
POLL_S = 1.0

Project = Annotated[int, typer.Argument(help="The project's id: the number in its address in Label Studio.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def add_to(app: typer.Typer) -> None:
    """Add the three commands."""
    for command in (preannotate, status, retry):
        app.command()(command)


def preannotate(
    project: Project,
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="Queue at most so many new tasks.")] = None,
    priority: Annotated[bool, typer.Option("--priority", help="Before everything that waits.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until all is judged and in Label Studio.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue every task of a project that has no prediction of this model version yet.

    Asking again queues nothing twice, and goes on where an interrupted run stopped. Ctrl-C ends the watching only.

    \b
    Examples:
      vrthinker preannotate 7 --wait
      vrthinker preannotate 7 --limit 100 --priority

    \b
    Exit codes: 0 done, 1 with --wait when a task failed, 130 interrupted.
    """  # noqa: D301  # \b keeps the help's line breaks
    from rich.console import Console

    from backend.preannotate import standing
    from backend.queue import WorkQueue

    settings, console = load_settings(), Console(stderr=True)
    version = model_version(settings)
    client, queue, ledger = connect_label_studio(settings), WorkQueue.connect(settings), open_ledger(settings)
    try:
        _warn_about_workers(console, queue, version)
        _run(console, client, ledger, queue, version, project, limit, priority=priority, wait=wait)
        now = standing(ledger, project, version)
    except KeyboardInterrupt:
        _say(console, f"Stopped watching; what is queued goes on. Look: vrthinker status {project}")
        _say(console, f"To queue the rest and watch again: vrthinker preannotate {project} --wait")
        raise typer.Exit(INTERRUPTED) from None
    except VRThinkerError:
        _say(console, f"Not all was queued. When the cause is mended, run vrthinker preannotate {project} again.")
        raise
    finally:
        client.close()
        ledger.close()
        queue.connection.close()
    _show([now], as_json=as_json)
    if wait and now.failures:
        raise typer.Exit(ExitCode.FAILED)


def _run(
    console: Console,
    client: LabelStudioClient,
    ledger: Ledger,
    queue: WorkQueue,
    version: str,
    project: int,
    limit: int | None,
    *,
    priority: bool,
    wait: bool,
) -> None:
    """Take in, then perhaps watch."""
    from backend.cli.live import watching
    from backend.preannotate import Taken, standing, take_in

    taken = Taken()
    with watching(console) as view:
        for taken in take_in(client, ledger, queue, version, project, limit=limit, priority=priority):
            view.took(taken)
            view.show_sometimes(lambda: standing(ledger, project, version))
        while wait:
            now = standing(ledger, project, version)
            view.show(now)
            if now.settled:
                break
            time.sleep(POLL_S)
    rejected = ", ".join(f"{count} {reason}" for reason, count in taken.rejected.items()) or "none"
    _say(console, f"Queued {taken.new} new tasks; {taken.known} were known already; rejected: {rejected}.")


def _warn_about_workers(console: Console, queue: WorkQueue, version: str) -> None:
    judges = [worker for worker in queue.workers() if worker.role == "judge"]
    if not any(worker.model_version == version for worker in judges):
        others = ", ".join(sorted({worker.model_version for worker in judges}))
        who = f", only of {others}" if others else ""
        _say(console, f"No worker of version {version} is alive{who}: start vrthinker worker with these settings.")


def status(
    project: Annotated[int | None, typer.Argument(help="The project's id. Default: all.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how far projects are, and why tasks failed.

    \b
    Examples:
      vrthinker status
      vrthinker status 7 --json
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.preannotate import standings

    ledger = open_ledger(load_settings())
    try:
        found = standings(ledger, project)
    finally:
        ledger.close()
    if project is not None and not found:
        raise SettingsError(f"Nothing of project {project} was ever queued. Run vrthinker preannotate {project}.")
    _show(found, as_json=as_json)


def retry(
    project: Project,
    *,
    reason: Annotated[
        list[str] | None, typer.Option(help="Only tasks that failed for this reason (see status); repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give failed tasks of this model version another chance. Those without usable data stay failed.

    \b
    Examples:
      vrthinker retry 7
      vrthinker retry 7 --reason media_unavailable --reason engine
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend import preannotate as room
    from backend.queue import WorkQueue

    settings = load_settings()
    queue, ledger = WorkQueue.connect(settings), open_ledger(settings)
    version = model_version(settings)
    try:
        again = room.retry(
            ledger,
            queue,
            project,
            model_version=version,
            reasons=tuple(reason or ()),
            max_attempts=settings.max_attempts,
        )
    finally:
        ledger.close()
        queue.connection.close()
    if as_json:
        typer.echo(json.dumps({"project": project, "model_version": version, "retried": again}))
    else:
        typer.echo(f"{again} failed tasks of project {project} get another chance. Watch: vrthinker status {project}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _show(found: list[Standing], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found], ensure_ascii=False))
        return
    from rich.console import Console
    from rich.text import Text

    from backend.cli.live import report

    console = Console()
    for part in report(found):
        console.print(part, soft_wrap=isinstance(part, Text))


def _plain(one: Standing) -> dict[str, Any]:
    return {**asdict(one), "to_go_s": one.to_go_s, "settled": one.settled}
