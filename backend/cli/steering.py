"""`vrthinker retry`, `pause`, `resume` and `cancel`: what may be done to work that was queued."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from backend.bootstrap import open_ledger
from backend.cli.arguments import FIRST_PROJECT, AsJson, Project
from backend.errors import QueueError, SettingsError, reasons_of
from backend.settings import load_settings
from backend.version import model_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.jobs.steering import Steering
    from backend.ledger import Ledger

OneOrAll = Annotated[
    int | None, typer.Argument(metavar="PROJECT", min=FIRST_PROJECT, help="The project's id. Default: every project.")
]


def add_to(app: typer.Typer) -> None:
    """Add the four commands."""
    for command in (retry, pause, resume, cancel):
        app.command()(command)


@contextmanager
def _steering(project: int | None) -> Iterator[Steering]:
    """The ledger and the queue that the settings name; what the ledger has when Redis fails is said.

    Raises:
        SettingsError: the ledger knows no such project.
    """
    from backend.jobs.reconciling import Reconciling
    from backend.jobs.steering import Steering
    from backend.queue import WorkQueue

    settings = load_settings()
    queue, ledger = WorkQueue.connect(settings), open_ledger(settings)
    try:
        if project is not None:
            _check_known(ledger, project)
        yield Steering(ledger, queue, Reconciling(ledger, queue).run)
    except QueueError:
        typer.echo("The ledger has it, so it is in force; the publisher does the rest when Redis is back.", err=True)
        raise
    finally:
        ledger.close()
        queue.connection.close()


def _check_known(ledger: Ledger, project: int) -> None:
    """A number mistyped must not look as if all was well."""
    entered = {one.project for one in ledger.versions()} | ledger.paused().projects
    known = sorted(entered | {one.id for one in ledger.projects()})
    if project not in known:
        which = f"It knows {', '.join(map(str, known))}." if known else "It knows none yet."
        raise SettingsError(f"The ledger in {ledger.place} knows no project {project}. {which}")


def retry(
    project: Project,
    *,
    reason: Annotated[
        list[str] | None,
        typer.Option(metavar="REASON", help="Only tasks that failed for this reason (see status); repeatable."),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="All failed tasks, which is the default without --reason.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give failed tasks of this model version another chance. Those without usable data stay failed.

    \b
    Examples:
      vrthinker retry 7 --failed
      vrthinker retry 7 --reason media_unavailable --reason engine

    \b
    Exit codes: 0 done, 1 the ledger or Redis cannot be used, 2 a wrong option or setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    if failed and reason:
        raise SettingsError("--failed means all failed tasks, --reason only some of them. Give one of the two.")
    if unknown := sorted({*(reason or ())} - reasons_of()):
        known = ", ".join(sorted(reasons_of()))
        raise SettingsError(f"--reason is {unknown[0]!r}, for which no task fails. The reasons are {known}.")
    version = model_version(load_settings())
    with _steering(project) as steering:
        again = steering.retry(project, version, tuple(reason or ()))
    if as_json:
        typer.echo(json.dumps({"project": project, "model_version": version, "retried": again}))
    else:
        typer.echo(f"{again} failed tasks of project {project} get another chance. Watch: vrthinker status {project}")


def pause(project: OneOrAll = None, *, as_json: AsJson = False) -> None:
    """Begin nothing new of a project, or of any, until it is resumed.

    What is being judged is finished, and what is judged still gets to Label Studio. A pause outlives restarts of every
    process and of Redis. Tasks that are asked for meanwhile wait too, the ones that people open first in line.

    \b
    Examples:
      vrthinker pause 7
      vrthinker pause

    \b
    Exit codes: 0 paused, 1 the ledger or Redis cannot be used (without Redis it is in force all the same),
    2 a wrong option or setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    with _steering(project) as steering:
        waiting = steering.pause(project)
    if as_json:
        typer.echo(json.dumps({"project": project, "paused": True, "taken_off_the_queue": waiting}))
    else:
        whose = _whose(project)
        typer.echo(f"Paused {whose}: {waiting} tasks wait until vrthinker resume{_number(project)}.")


def resume(project: OneOrAll = None, *, as_json: AsJson = False) -> None:
    """Go on after a pause.

    Without a project this ends the pause of all; projects that were paused one by one stay paused.

    \b
    Examples:
      vrthinker resume 7
      vrthinker resume

    \b
    Exit codes: 0 done, 1 the ledger or Redis cannot be used (without Redis it is in force all the same),
    2 a wrong option or setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    with _steering(project) as steering:
        goes_on = steering.resume(project)
        paused = steering.ledger.paused()
    if as_json:
        typer.echo(json.dumps({"project": project, "paused": not goes_on}))
        return
    typer.echo(f"Resumed {_whose(project)}.")
    if paused.everything:
        typer.echo("Every project is still paused: vrthinker resume.")
    elif not goes_on:
        still = ", ".join(map(str, sorted(paused.projects)))
        typer.echo(f"Still paused by themselves: {still}. vrthinker resume PROJECT ends each.")


def cancel(project: Project, *, as_json: AsJson = False) -> None:
    """Give up what waits to be judged, of every model version. What is judged already still gets to Label Studio.

    To have cancelled tasks judged after all, ask for them again: vrthinker preannotate, or Retrieve predictions.

    \b
    Examples:
      vrthinker cancel 7

    \b
    Exit codes: 0 done, 1 the ledger or Redis cannot be used (without Redis it is in force all the same),
    2 a wrong option or setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    with _steering(project) as steering:
        cancelled = steering.cancel(project)
    if as_json:
        typer.echo(json.dumps({"project": project, "cancelled": cancelled}))
    else:
        typer.echo(f"Cancelled {cancelled} waiting tasks of project {project}.")


def _whose(project: int | None) -> str:
    return "every project" if project is None else f"project {project}"


def _number(project: int | None) -> str:
    return "" if project is None else f" {project}"
