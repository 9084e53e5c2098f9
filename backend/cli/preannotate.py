"""`vrthinker preannotate` and `status`: predictions for a whole project."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.bootstrap import connect_label_studio, open_ledger
from backend.cli.arguments import FIRST_PROJECT, AsJson, Project
from backend.cli.exits import ExitCode
from backend.errors import NoMatchError, QueueError, SettingsError, VRThinkerError
from backend.queue.names import JUDGE, PUBLISH
from backend.settings import load_settings
from backend.version import model_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

    from backend.cli.live import View
    from backend.preannotate import Standing, Taken
    from backend.queue import WorkQueue
    from backend.settings import Settings

POLL_S = 1.0
SPEAK_S = 30.0
NO_PUBLISHER = "No publisher is alive, so nothing gets to Label Studio: start vrthinker publisher."


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (preannotate, status):
        app.command()(command)


def preannotate(
    project: Project,
    *,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FILTER",
            help="Only tasks that match: id=100-200, tab=3, annotated=no, key=value; repeatable.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Queue at most so many new tasks.")] = None,
    priority: Annotated[bool, typer.Option("--priority", help="Before everything that waits.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until all is judged and in Label Studio.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue every task of a project that has no prediction of this model version yet.

    Asking again queues nothing twice, and goes on where an interrupted run stopped. A prediction that someone deleted
    is published again without judging its pair again. Ctrl-C ends the watching only.

    \b
    Examples:
      vrthinker preannotate 7 --wait
      vrthinker preannotate 7 --limit 100 --priority
      vrthinker preannotate 7 --filter tab=3
      vrthinker preannotate 7 --filter id=100-200 --filter "prompt~red panda"

    A filter is Label Studio's own: ids or a range of them, a saved Data Manager tab by the number in its address,
    annotated=yes or no, or a field of the tasks' data with = != or ~ (contains). All of them must hold.

    \b
    Exit codes: 0 done, 1 Label Studio, the ledger or Redis failed, or with --wait a task of the project,
    2 a wrong option or setting, 7 the filter matches no task, 130 interrupted.
    """  # noqa: D301  # \b keeps the help's line breaks
    from rich.console import Console

    from backend.cli.live import watching
    from backend.label_studio.selection import parse_selection
    from backend.preannotate import standing, take_in
    from backend.queue import WorkQueue

    settings, console = load_settings(), Console(stderr=True)
    version, selection = model_version(settings), parse_selection(filters or ())
    client, queue, ledger = connect_label_studio(settings), WorkQueue.connect(settings), open_ledger(settings)
    try:
        said = _warn(console, _lacking(queue, version))
        batches = take_in(client, ledger, queue, version, project, selection=selection, limit=limit, priority=priority)
        with watching(console) as view:
            taken = _take(console, view, batches, lambda: standing(ledger, project, version))
            if wait:
                _wait(console, view, lambda: standing(ledger, project, version), lambda: _lacking(queue, version), said)
        now = standing(ledger, project, version)
    except KeyboardInterrupt:
        _say(console, f"Stopped watching; what is queued goes on. Look: vrthinker status {project}")
        _say(console, f"To queue the rest and watch again: vrthinker preannotate {project} --wait")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except NoMatchError:
        raise
    except VRThinkerError:
        _say(console, f"Not all was queued. When the cause is mended, run vrthinker preannotate {project} again.")
        raise
    finally:
        client.close()
        ledger.close()
        queue.connection.close()
    if as_json:
        typer.echo(json.dumps([_plain(now) | asdict(taken)], ensure_ascii=False))
    else:
        _show([now])
    if wait and now.failures:
        raise typer.Exit(ExitCode.FAILED)


def _take(console: Console, view: View, batches: Iterable[Taken], look: Callable[[], Standing]) -> Taken:
    """Take in; what was taken in."""
    from backend.preannotate import Taken

    taken = Taken()
    for taken in batches:
        view.took(taken)
        view.show_sometimes(look)
    rejected = ", ".join(f"{count} {reason}" for reason, count in taken.rejected.items()) or "none"
    again = f", {taken.published_again} of them published again" if taken.published_again else ""
    _say(console, f"Queued {taken.new} new tasks; {taken.known} were known already{again}; rejected: {rejected}.")
    return taken


def _wait(
    console: Console, view: View, look: Callable[[], Standing], lacking: Callable[[], list[str]], said: frozenset[str]
) -> None:
    """Watch until all is settled; now and then say who is missing, and where no line can move, how far all is."""
    from backend.cli.live import sentence

    spoken = time.monotonic()
    while not (now := look()).settled:
        view.show(now)
        if time.monotonic() - spoken > SPEAK_S:
            spoken = time.monotonic()
            try:
                said = _warn(console, lacking(), said)
            except QueueError as error:
                said = _warn(console, [str(error)], said)
            if not console.is_terminal:
                _say(console, sentence(now))
        time.sleep(POLL_S)
    view.show(now)


def _warn(console: Console, sentences: list[str], said: frozenset[str] = frozenset()) -> frozenset[str]:
    """Say what was not said before; what was said by now and still holds."""
    for one in sentences:
        if one not in said:
            _say(console, one)
    return frozenset(sentences)


def _lacking(queue: WorkQueue, version: str) -> list[str]:
    """Which processes are missing for predictions of this version, and what to do.

    Raises:
        QueueError: Redis cannot be used.
    """
    alive, found = queue.workers(), []
    judges = [worker for worker in alive if worker.role == JUDGE]
    if not any(worker.model_version == version for worker in judges):
        others = ", ".join(sorted({worker.model_version for worker in judges}))
        who = f", only of {others}" if others else ""
        found.append(f"No worker of version {version} is alive{who}: start vrthinker worker with these settings.")
    if not any(worker.role == PUBLISH for worker in alive):
        found.append(NO_PUBLISHER)
    return found


def status(
    project: Annotated[
        int | None, typer.Argument(metavar="PROJECT", min=FIRST_PROJECT, help="The project's id. Default: all.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how far projects are, and why tasks failed.

    \b
    Examples:
      vrthinker status
      vrthinker status 7 --json

    \b
    Exit codes: 0 shown, 1 the ledger cannot be read, 2 nothing of the project was ever queued.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.preannotate import standings

    settings = load_settings()
    ledger = open_ledger(settings)
    try:
        found, place = standings(ledger, project), ledger.place
    finally:
        ledger.close()
    if project is not None and not found:
        raise SettingsError(f"Nothing of project {project} was ever queued. Run vrthinker preannotate {project}.")
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found], ensure_ascii=False))
    elif found:
        _show(found)
        _warn_about_orders(settings, settled=all(one.settled for one in found))
    else:
        typer.echo(f"Nothing was queued yet in {place}. Queue a project: vrthinker preannotate PROJECT.")


def _warn_about_orders(settings: Settings, *, settled: bool) -> None:
    """Say what is waited for in vain; the counts above need no Redis, and stand."""
    from rich.console import Console

    from backend.queue import WorkQueue

    console, queue = Console(stderr=True), WorkQueue.connect(settings)
    try:
        alive = queue.workers()
        for version, count in queue.counts().without_worker(alive).items():
            what = f"{count} tasks wait for version {version}, and no worker of it is alive"
            _say(console, f"{what}: start vrthinker worker with its settings, or vrthinker cancel PROJECT.")
        if not settled and not any(worker.role == PUBLISH for worker in alive):
            _say(console, NO_PUBLISHER)
    except QueueError as error:
        _say(console, f"Whether workers are alive is not known. {error}")
    finally:
        queue.connection.close()


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _show(found: list[Standing]) -> None:
    from rich.console import Console
    from rich.text import Text

    from backend.cli.live import report

    console = Console()
    for part in report(found):
        console.print(part, soft_wrap=isinstance(part, Text))


def _plain(one: Standing) -> dict[str, Any]:
    return {**asdict(one), "to_go_s": one.to_go_s, "settled": one.settled}
