"""`vrthinker infer`: judge one pair of local videos, without Label Studio, Redis or a database."""

from __future__ import annotations

import json
import sys
import time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from backend.cli.exits import ExitCode
from backend.cli.trace import card_answer, trace_of
from backend.errors import SettingsError
from backend.reasoning.swap import judge_in_both_orders
from backend.settings import BUNDLED_CHECKPOINT, Settings, load_settings
from backend.version import contract_of, model_version

if TYPE_CHECKING:
    from backend.reasoning.contract import Contract
    from backend.reasoning.judge import Engine, FrameSource
    from backend.reasoning.rollout import Rollout
    from backend.types import Judgement, Turn

BUNDLED_NOTE = """\
*** This is the small bundled checkpoint. It follows the protocol, but its verdicts mean nothing.
*** For real verdicts: --model qunwang13/vrthinker (or set MODEL), on a GPU with about 24 GB."""

Model = Annotated[str | None, typer.Option(help="Checkpoint folder or hub id. Default: MODEL, else the bundled one.")]
Revision = Annotated[str | None, typer.Option(help="Commit or tag of a hub id.")]
Contract_ = Annotated[str | None, typer.Option("--contract", help="vrthinker-128 (default) or vr-thinker-96.")]
Device = Annotated[str | None, typer.Option(help="auto (default), cpu or e.g. cuda:1.")]
Quantization = Annotated[
    Literal["none", "8bit", "4bit"] | None, typer.Option(help="Smaller weights for small cards. Default: none.")
]
Engine_ = Annotated[
    Literal["transformers", "openai"] | None,
    typer.Option("--engine", help="In this process, or a server. Default: transformers."),
]
Swap = Annotated[
    Literal["off", "uncertain", "all"] | None,
    typer.Option(help="Judge with the videos exchanged too. Default: off."),
]
TraceFile = Annotated[Path | None, typer.Option("--trace", help="Write the whole conversation to this file, as JSON.")]
ForceAnswer = Annotated[
    bool | None, typer.Option("--force-answer/--no-force-answer", help="Ask once more when the turns end unanswered.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(infer)


def infer(
    *,
    video1: Annotated[Path, typer.Option(help="The first video file.")],
    video2: Annotated[Path, typer.Option(help="The second video file.")],
    prompt: Annotated[str, typer.Option(help="The text that both videos were made from.")],
    model: Model = None,
    revision: Revision = None,
    contract: Contract_ = None,
    device: Device = None,
    quantization: Quantization = None,
    engine: Engine_ = None,
    force_answer: ForceAnswer = None,
    swap: Swap = None,
    trace: TraceFile = None,
) -> None:
    """Judge one pair of videos and print the verdict.

    Standard output is one JSON object with the keys TA, MQ, VQ and OA: 1 or 2 for the better video, 0 for a tie, null
    without an answer. Everything else goes to standard error.

    \b
    Examples:
      vrthinker infer --video1 a.mp4 --video2 b.mp4 --prompt "A cat jumps"
      vrthinker infer --video1 a.mp4 --video2 b.mp4 --prompt "A cat jumps" \\
          --model qunwang13/vrthinker --trace conversation.json

    \b
    Exit codes: 0 answered, 2 wrong options, 3 no answer, 4 a video cannot be used,
    5 the checkpoint cannot be loaded, 6 the model failed, 1 anything else.
    """  # noqa: D301  # \b keeps the help's line breaks
    given = {
        "model": model,
        "model_revision": revision,
        "contract": contract,
        "device": device,
        "quantization": quantization,
        "engine": engine,
        "force_answer": force_answer,
        "swap_check": swap,
    }
    if not prompt.strip():
        raise SettingsError("--prompt is empty. Give the text that both videos were made from.")
    if trace is not None and not trace.parent.is_dir():
        raise SettingsError(f"--trace: there is no folder {trace.parent}. Make it, or choose another.")
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    with redirect_stdout(sys.stderr):  # whatever a library prints, stdout holds the answer alone
        judgement, told = _run(settings, video1, video2, prompt)
    typer.echo(json.dumps(card_answer(judgement)))
    if trace is not None:
        _write(trace, {"video1": str(video1), "video2": str(video2), "prompt": prompt} | told)
    if not judgement.labels:
        _say(f"No answer: the conversation ended with {judgement.stop.value} after {len(judgement.turns)} turns.")
        raise typer.Exit(ExitCode.NO_ANSWER)


def _run(settings: Settings, video1: Path, video2: Path, prompt: str) -> tuple[Judgement, dict[str, Any]]:
    """The judgement and its trace."""
    from backend.engines.choice import engine_of
    from backend.frames import VideoPair

    contract = contract_of(settings)
    started = time.monotonic()
    source = VideoPair.open(video1, video2, contract)  # cheap, so that a bad file is told before weights load
    opened = time.monotonic()
    if settings.engine == "transformers" and settings.model == str(BUNDLED_CHECKPOINT):
        _say(BUNDLED_NOTE)
    engine = engine_of(settings)
    loaded = time.monotonic()
    judgement, conversations = converse(engine, source, contract, prompt, settings)
    seconds = {"load": loaded - opened, "judge": opened - started + time.monotonic() - loaded}
    judgement = replace(judgement, seconds={**judgement.seconds, **seconds})
    _say(f"Done: {len(judgement.turns)} turns, {seconds['judge']:.1f} s (loading {seconds['load']:.1f} s).")
    return judgement, trace_of(conversations, judgement)


def converse(
    engine: Engine, source: FrameSource, contract: Contract, prompt: str, settings: Settings
) -> tuple[Judgement, list[Rollout]]:
    """Hold the conversation, one line on stderr per turn; the judgement and every finished conversation."""
    finished: list[Rollout] = []

    def observe(rollout: Rollout) -> None:
        order = " (videos exchanged)" if finished else ""
        _say(f"Turn {len(rollout.turns)}{order}: {_outcome(rollout.turns[-1])}")
        if rollout.stop is not None:
            finished.append(rollout)

    judgement = judge_in_both_orders(
        engine,
        source,
        contract,
        prompt,
        model_version=model_version(settings),
        mode=settings.swap_check,
        threshold=settings.swap_threshold,
        force_answer=settings.force_answer,
        observe=observe,
    )
    return judgement, finished


def _outcome(turn: Turn) -> str:
    spent = f"({turn.completion_tokens} tokens, {turn.seconds:.1f} s)"
    if turn.outcome == "answer":
        return f"answers {spent}"
    if turn.outcome == "select_frames":
        return f"asks for frames {', '.join(map(str, turn.served)) or 'too late'} {spent}"
    return f"unusable reply: {turn.note} {spent}"


def _write(path: Path, trace: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(trace, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--trace: {path} cannot be written: {error.strerror}.") from None


def _say(text: str) -> None:
    typer.echo(text, err=True)
