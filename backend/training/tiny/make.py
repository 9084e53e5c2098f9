"""The small checkpoint, from nothing to a folder with its model card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.engines.local.loading import load_engine
from backend.training.tiny.blueprint import untrained
from backend.training.tiny.card import model_card
from backend.training.tiny.lesson import CONTRACT
from backend.training.tiny.measure import measure
from backend.training.tiny.training import train

if TYPE_CHECKING:
    from pathlib import Path

    from backend.training.tiny.measure import Measured

HELD_OUT_SEED = 20_251_018


def make_checkpoint(out: Path, *, seed: int, steps: int, pairs: int = 50) -> Measured | None:
    """Write a checkpoint folder and measure it on `pairs` held-out pairs, if any; without `steps` weights stay random.

    Returns:
        What was measured, which its model card says too.
    """
    parts = untrained(seed)
    if steps:
        train(parts, seed=seed, steps=steps)
    parts.save(out)
    # As shipped: loaded from the folder, with weights rounded to bfloat16.
    engine = load_engine(str(out), device="cpu")
    measured = measure(engine, seed=HELD_OUT_SEED, pairs=pairs) if pairs else None
    card = model_card(
        measured,
        contract=CONTRACT.name,
        seed=seed,
        steps=steps,
        parameters=parts.model.num_parameters(),
        tokens=len(parts.tokenizer),
    )
    (out / "README.md").write_text(card, encoding="utf-8")
    return measured
