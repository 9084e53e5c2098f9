"""`vrthinker init`: a Label Studio project, created or repaired."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.bootstrap import connect_label_studio, open_ledger
from backend.cli.arguments import FIRST_PROJECT, AsJson
from backend.cli.exits import ExitCode
from backend.cli.importing import imported
from backend.errors import SettingsError
from backend.settings import load_settings
from backend.version import model_version

if TYPE_CHECKING:
    from backend.cli.importing import ImportReport
    from backend.label_studio.client import LabelStudioClient
    from backend.label_studio.project import ConnectedProject, Target
    from backend.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def default_backend_url(settings: Settings) -> str:
    """The web process as seen from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104  # what HOST may say
    return f"http://{host}:{settings.port}"


def init(
    *,
    project: Annotated[
        int | None, typer.Option(metavar="PROJECT", min=FIRST_PROJECT, help="Repair the project with this id.")
    ] = None,
    title: Annotated[
        str, typer.Option(help="Create the project of this title, or repair it. Default: VR-Thinker.")
    ] = "",
    config: Annotated[
        Path | None, typer.Option(help="Labeling config. Default: ours for a new project, else the project's own.")
    ] = None,
    backend_url: Annotated[
        str,
        typer.Option(
            help="The web process as seen from Label Studio. Default: where it is connected, else http://HOST:PORT."
        ),
    ] = "",
    storage: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="Folder on Label Studio's machine whose files tasks may name; repeatable."),
    ] = None,
    import_file: Annotated[
        Path | None,
        typer.Option("--import", help="Import pairs from this CSV, JSONL or Parquet file, each once, however often."),
    ] = None,
    files_root: Annotated[
        Path | None, typer.Option(help="Label Studio's local-files document root as seen from here, to check files in.")
    ] = None,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="Import no row when one is bad. Default: import the good ones.")
    ] = False,
    auto: Annotated[
        bool | None,
        typer.Option("--auto/--no-auto", help="Judge tasks that are added from now on by themselves."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create or repair a project: labeling config, ML backend, webhook. What is right already is left alone.

    Label Studio and its key, Basic auth and the webhook's secret come from the settings; the web process must run.

    \b
    Examples:
      vrthinker init --title "Pairs of May"
      vrthinker init --project 7 --backend-url http://web:9090
      vrthinker init --project 7 --auto
      vrthinker init --title "Pairs of May" --import pairs.csv --files-root /videos

    A file to import has a column (or key) for each that the labeling config shows, ours: video1, video2 and prompt;
    further ones go along. Videos are addresses, /data/local-files/?d=..., or with --files-root paths below it.

    \b
    Exit codes: 0 done, 1 a row was refused (the others were imported, unless --all-or-nothing) or Label Studio
    refused something, 2 a wrong option, or a file that cannot be read.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.label_studio.project import TITLE, connect

    if project is not None and title:
        raise SettingsError("--project and --title both name a project: give one of them.")
    _check(import_file, backend_url)
    settings, title = load_settings(), title or TITLE
    client = connect_label_studio(settings)
    try:
        target = _target(client, settings, project, title, config, backend_url, tuple(storage or ()))
        connected = connect(client, target, project=project, title=title)
        if auto is not None:
            connected = replace(connected, changes=connected.changes + _switch(client, settings, connected, auto=auto))
        told = (
            None
            if import_file is None
            else imported(client, connected.project, import_file, files_root, all_or_nothing=all_or_nothing)
        )
    finally:
        client.close()
    _show_connected(connected, settings, told, as_json=as_json)
    if told is not None and told.checked.bad:
        raise typer.Exit(ExitCode.FAILED)


def _check(import_file: Path | None, backend_url: str) -> None:
    """What is wrong on the command line is said before anything is made.

    Raises:
        SettingsError: something is.
    """
    from backend.label_studio.pairs import read_rows

    if backend_url and not backend_url.startswith(("http://", "https://")):
        raise SettingsError(f"--backend-url is {backend_url!r}. Write an address as http://{backend_url}.")
    if import_file is not None:
        if not import_file.is_file():
            raise SettingsError(f"--import: there is no file {import_file}.")
        next(read_rows(import_file), None)


def _target(
    client: LabelStudioClient,
    settings: Settings,
    project: int | None,
    title: str,
    config: Path | None,
    backend_url: str,
    storage: tuple[str, ...],
) -> Target:
    """What to connect to, its labeling config checked before anything is changed; an existing one is never replaced."""
    from backend.label_studio.layout import parse_layout
    from backend.label_studio.project import Target
    from backend.label_studio.shipped import shipped_config

    present = (project,) if project is not None else client.administration.projects_titled(title)
    text: str | None = None
    if config is not None:
        text = _read(config, "--config")
    elif not present:
        text = _read(shipped_config(), "the labeling config of this package")
    if text is not None:
        parse_layout(text)
    elif len(present) == 1:  # of several, `connect` asks which is meant
        parse_layout(client.project(present[0]).label_config)
    password = settings.basic_auth_pass.get_secret_value()
    return Target(
        backend_url=backend_url or default_backend_url(settings),
        keep_address=not backend_url,
        model_version=model_version(settings),
        label_config=text,
        basic_auth=(settings.basic_auth_user, password) if settings.basic_auth_user else None,
        webhook_secret=settings.webhook_secret.get_secret_value(),
        storage_paths=storage,
    )


def _switch(
    client: LabelStudioClient, settings: Settings, connected: ConnectedProject, *, auto: bool
) -> tuple[str, ...]:
    """Turn auto mode on or off; what changed."""
    number, ledger = connected.project.id, open_ledger(settings)
    try:
        if ledger.is_automatic(number) == auto:
            return ()
        if not auto:
            ledger.take_when_asked(number)
            return ("new tasks are judged when they are asked for",)
        newest = client.newest_task(number)
        ledger.take_automatically(number, newest)
        return (f"tasks after {newest} are judged by themselves" if newest else "new tasks are judged by themselves",)
    finally:
        ledger.close()


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{what}: {path} cannot be read: {error}. Give a labeling config as UTF-8 XML.") from None


def _show_connected(
    connected: ConnectedProject, settings: Settings, told: ImportReport | None, *, as_json: bool
) -> None:
    shown = connected.project
    place = f"{settings.public_url}/projects/{shown.id}/data"
    if as_json:
        plain = {"project": shown.id, "title": shown.title, "url": place, "changes": list(connected.changes)}
        typer.echo(json.dumps(plain | ({} if told is None else {"import": told.as_json()}), ensure_ascii=False))
        return
    typer.echo(f"Project {shown.id}, {shown.title!r}: {place}")
    for change in connected.changes or ("nothing to do: it was as it should be",):
        typer.echo(f"  {change}")
    for said in () if told is None else told.lines():
        typer.echo(f"  {said}")
    if not shown.task_number and not (told and told.imported):
        typer.echo("Next: import tasks in Label Studio, then run")
    else:
        typer.echo("Next: run")
    typer.echo(f"  vrthinker preannotate {shown.id}")
