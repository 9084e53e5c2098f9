"""`vrthinker finetune`: a checkpoint that has learnt from people's answers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from backend.errors import SettingsError
from backend.settings import BUNDLED_CHECKPOINT

LIBRARIES = ("torch", "transformers", "accelerate")  # of the extra `gpu`


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(finetune)


def finetune(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of vrthinker export --frames.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write the checkpoint to, new or empty.")],
    model: Annotated[str, typer.Option(help="Checkpoint to begin with. Default: the small one.")] = "",
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Training steps.")] = 100,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Rows per step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="The largest learning rate.")] = 1e-5,
    seed: Annotated[int, typer.Option(help="Fixes the order of the rows.")] = 0,
    save_every: Annotated[
        int, typer.Option(metavar="N", min=1, help="Keep the training's state after so many steps, for --resume.")
    ] = 50,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted training in --out.")] = False,
) -> None:
    """Fine-tune a checkpoint on people's answers, so that it ends its conversations in their labels.

    After an interruption the same command with --resume goes on from the latest state that was kept.

    \b
    Examples:
      vrthinker finetune may --out tuned --model qunwang13/vrthinker --steps 200
      vrthinker finetune may --out tuned --model qunwang13/vrthinker --steps 200 --resume

    \b
    Exit codes: 0 written, 1 the dataset has no rows with pictures, 2 wrong options,
    5 the checkpoint cannot be loaded.
    """  # noqa: D301  # \b keeps the help's line breaks
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise SettingsError(f"Training needs {', '.join(missing)}. Install them: pip install 'vrthinker[gpu]'.")
    from backend.training.finetune import finetune as train

    learnt = train(
        dataset,
        out,
        model=model or str(BUNDLED_CHECKPOINT),
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        save_every=save_every,
        resume=resume,
    )
    held_out = "" if learnt.validation_loss is None else f", {learnt.validation_loss:.3f} on the validation rows"
    typer.echo(f"{learnt.rows} rows, {learnt.steps} steps: loss {learnt.loss:.3f}{held_out}. Written to {out}.")
