"""`python -m backend.training.tiny OUT --seed 0 --steps N`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.training.tiny.make import make_checkpoint


def main(
    out: Annotated[Path, typer.Argument(help="Folder to write the checkpoint to.")],
    seed: Annotated[int, typer.Option(help="Fixes weights and lessons.")] = 0,
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0 leaves the weights random.")] = 1000,
    pairs: Annotated[int, typer.Option(min=0, help="Held-out pairs to measure it on, for its model card.")] = 50,
) -> None:
    """Make the small checkpoint from nothing."""
    make_checkpoint(out, seed=seed, steps=steps, pairs=pairs)


if __name__ == "__main__":
    typer.run(main)
