"""`vrthinker export` and `vrthinker sync`: people's answers, fetched and turned into a dataset."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import typer

from backend.bootstrap import connect_label_studio, open_fetcher, open_ledger
from backend.cli.arguments import FIRST_PROJECT, AsJson, Project, moment
from backend.cli.exits import ExitCode
from backend.errors import SettingsError
from backend.settings import load_settings
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from backend.export.dataset import ExportOptions, Videos
    from backend.export.manifest import Manifest
    from backend.jobs.syncing import Synced
    from backend.label_studio.client import LabelStudioClient
    from backend.settings import Settings


class Observe(Protocol):
    """Told how far something is."""

    def __call__(self, done: int, total: int) -> None:
        """So many of so many; 0 where the total is not known."""
        ...


LAST = "last"


def add_to(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command()(export)
    app.command()(sync)


def export(
    project: Project,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the dataset. An earlier dataset there is replaced.")],
    only: Annotated[
        Literal["disagreements", "agreements", "all"],
        typer.Option(help="Where person and model differ, agree, or both."),
    ] = "all",
    dimension: Annotated[
        list[Dimension] | None,
        typer.Option(metavar="TA|MQ|VQ|OA", help="Look only at this dimension; repeatable. Default: all four."),
    ] = None,
    annotator: Annotated[
        list[str] | None,
        typer.Option(metavar="WHO", help="Label Studio's user id, or a name from an earlier dataset; repeatable."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Changed since then, by Label Studio's clock: 2026-05-01, or `last` for what is new."
        ),
    ] = "",
    model_version: Annotated[str | None, typer.Option(help="Beside judgements of this model version.")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(metavar="0..1", min=0, max=1, help="Where the model was at least so sure.")
    ] = None,
    formats: Annotated[str, typer.Option(help="Comma-separated; see below. Default: all that are possible.")] = "",
    frames: Annotated[
        bool, typer.Option("--frames", help="Fetch the videos and write the pictures that the model saw.")
    ] = False,
    names: Annotated[bool, typer.Option("--names", help="Write the annotators' names, not pseudonyms.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write people's answers beside the model's as a dataset that trainers read.

    Reads the ledger: run `vrthinker sync PROJECT` first to be sure that nothing is missing. The same ledger and options
    give the same bytes. Needs Label Studio only with --frames or --names.

    \b
    Formats:
      video-align, parquet                                        always
      trl-sft, trl-dpo, ms-swift, llama-factory, message-list     with --frames
    records.jsonl, README.md and manifest.json are always there.

    \b
    Examples:
      vrthinker export 7 --out may --only disagreements --frames
      vrthinker export 7 --out sure-and-wrong --only disagreements --dimension MQ --min-confidence 0.9
      vrthinker export 7 --out week-20 --since last --frames --formats trl-dpo,ms-swift

    \b
    Exit codes: 0 done, 1 failed, 2 a wrong option or unknown project, 7 nothing to export, 130 interrupted.
    """  # noqa: D301  # \b keeps the help's line breaks
    from rich.console import Console

    from backend.export.dataset import ExportOptions, export_dataset
    from backend.export.selection import Selection
    from backend.export.writing import chosen_formats

    settings, console = load_settings(), Console(stderr=True)
    wanted = tuple(name.strip() for name in formats.split(",") if name.strip())
    chosen_formats(wanted, frames=frames)
    selection = Selection(
        only=only,
        dimensions=tuple(one for one in Dimension if one in dimension) if dimension else tuple(Dimension),
        annotators=tuple(annotator or ()),
        since=None if since in {"", LAST} else moment(since),
        model_version=model_version,
        min_confidence=min_confidence,
    )
    client, ledger = connect_label_studio(settings), open_ledger(settings)
    try:
        options = ExportOptions(
            project=project,
            out=out,
            selection=selection,
            since_last=since == LAST,
            formats=wanted,
            frames=frames,
            names=client.administration.user_names() if names else None,
        )
        videos = _videos(settings, client) if frames else None
        with _progress(console, "Annotations") as observe:
            manifest = export_dataset(ledger, options, videos, observe)
    except KeyboardInterrupt:
        console.print("Stopped; nothing was written.", highlight=False)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    finally:
        client.close()
        ledger.close()
    _show(manifest, options, as_json=as_json)


def sync(
    project: Annotated[
        int | None,
        typer.Argument(
            metavar="PROJECT", min=FIRST_PROJECT, help="The project's id. Default: all that the ledger knows."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Fetch all annotations of a project from Label Studio into the ledger, and notice those that are gone.

    The publisher does this by itself every few minutes, for what has changed; webhooks tell most things at once. This
    reads everything anew, also what was deleted together with its task.

    \b
    Examples:
      vrthinker sync 7
      vrthinker sync --json

    \b
    Exit codes: 0 done, 1 Label Studio or the ledger failed, 2 a wrong option or nothing to fetch, 130 interrupted.
    """  # noqa: D301  # \b keeps the help's line breaks
    from rich.console import Console

    from backend.jobs.syncing import Syncing

    settings, console = load_settings(), Console(stderr=True)
    client, ledger = connect_label_studio(settings), open_ledger(settings)
    done: list[Synced] = []
    try:
        projects = [project] if project is not None else [known.id for known in ledger.projects()]
        if not projects:
            raise SettingsError("The ledger knows no project yet. Name one: vrthinker sync PROJECT.")
        syncing = Syncing(ledger, client)
        for number in projects:
            with _progress(console, f"Project {number}: annotations") as observe:
                done.append(syncing.fetch_all(client.project(number), partial(observe, total=0)))
    except KeyboardInterrupt:
        console.print("Stopped; what was fetched is kept. Run it again for the rest.", highlight=False)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    finally:
        client.close()
        ledger.close()
    _show_synced(done, as_json=as_json)


def _videos(settings: Settings, client: LabelStudioClient) -> Videos:
    from backend.export.dataset import Videos
    from backend.export.pictures import open_pairs

    return Videos(open_fetcher(settings, client), open_pairs())


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Observe]:
    """A line that moves on a terminal, else nothing; to be told how many of how many, 0 for not known."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        line = progress.add_task(what, total=None)

        def observe(done: int, total: int) -> None:
            progress.update(line, completed=done, total=total or None)

        yield observe


def _show(manifest: Manifest, options: ExportOptions, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"out": str(options.out), **manifest.as_json()}, ensure_ascii=False))
        return
    counts = manifest.counts
    typer.echo(
        f"{options.out}: {counts['records']} answers to {counts['tasks']} tasks, "
        f"{counts['disagreements']} of them different from the model's."
    )
    examples = counts["examples"]
    if options.frames:
        sources = ", ".join(f"{count} {name}" for name, count in examples["trace_source"].items())
        typer.echo(
            f"{examples['total']} training examples ({sources}), {examples['with_two_replies']} with two replies."
        )
    for title, reasons in (
        ("Left out", counts["left_out"]),
        ("No examples", examples["none_because"]),
        ("No row for VideoAlign", counts["no_video_align_row"]),
    ):
        if reasons:
            typer.echo(f"{title}: {', '.join(f'{count} {reason}' for reason, count in reasons.items())}.")
    if counts["records_with_problems"]:
        typer.echo(f"{counts['records_with_problems']} records have problems: look at `problems` in records.jsonl.")


def _show_synced(done: Sequence[Synced], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done]))
        return
    for one in done:
        gone = f", {one.deleted} are gone" if one.deleted else ""
        typer.echo(f"Project {one.project}: {one.annotations} annotations in {one.seconds:.1f} s{gone}.")
