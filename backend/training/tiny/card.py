"""The model card that comes with the small checkpoint; every figure in it was measured on that checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.types import Dimension

if TYPE_CHECKING:
    from backend.training.tiny.measure import Measured

TEXT = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
---

# A small checkpoint for trying the product out

**Its judgements are worth nothing on real videos. Do not use them.** It exists so that the demo and the tests run the
real loop (frames, conversation, tool calls, answer) on real Qwen2.5-VL classes, on a CPU, in seconds.

- {parameters:,} parameters in bfloat16: a 2-layer vision tower with 112-pixel windows only, a 4-layer language model, a
  byte-level tokenizer of {tokens:,} tokens trained on the contract's own wording. Image processor, chat template and
  control tokens work as in Qwen2.5-VL.
- Contract: `{contract}`. With other wording it talks nonsense.
- Made from nothing by `python -m backend.training.tiny OUT --seed {seed} --steps {steps}`; no data, no other model.

## What it was taught
Pairs of scenes that the command draws itself: a textured background in one of five colors with a few moving shapes.
Each video is clear, noisy, blurry or dark (its visual quality), and steady or torn sideways in bands (its motion
quality); the prompt may name a color (its text alignment). What it says follows one fixed pattern: it names what it
saw, asks for frames by a table, and draws the conclusion from the names. It was never taught to find anything new in
the frames it asks for, nor anything about people, objects or movement.

The vision tower's first layer is not learnt: it is fixed to the lowest spatial frequencies of a patch.

## Measured
{measured}

On real videos nothing was measured, and nothing should be expected.
"""

FIGURES = """\
{pairs} pairs of drawn scenes that training never showed, with the whole loop at full picture size:

| | |
|---|---|
| conversations that ended with an answer, unforced | {answered} of {pairs} |
| turns per conversation | {turns:.1f} |
| different requests for frames | {requests} |

| dimension | right | a constant answer would get |
|---|---|---|
{rows}"""


def model_card(measured: Measured | None, *, contract: str, seed: int, steps: int, parameters: int, tokens: int) -> str:
    """The card as Markdown; it says so where nothing was measured."""
    return TEXT.format(
        contract=contract,
        seed=seed,
        steps=steps,
        parameters=parameters,
        tokens=tokens,
        measured=_figures(measured) if measured else "Nothing.",
    )


def _figures(measured: Measured) -> str:
    rows = "\n".join(
        f"| {dimension} | {measured.right[dimension] / measured.pairs:.0%} "
        f"| {measured.constant[dimension] / measured.pairs:.0%} |"
        for dimension in Dimension
    )
    return FIGURES.format(
        rows=rows,
        pairs=measured.pairs,
        answered=measured.answered,
        turns=measured.turns,
        requests=measured.requests,
    )
