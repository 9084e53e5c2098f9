"""The model's odds for its answer digits, from three log-probabilities per generated token.

All logits of 2,048 tokens would take 1.2 GB with Qwen's vocabulary; these take 24 kB.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from backend.reasoning.reply import ASSIGNED
from backend.types import DigitOdds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import PreTrainedTokenizerBase

DIGITS = ("0", "1", "2")
BEFORE_DIGIT = re.compile(ASSIGNED + r"\Z")


def digit_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The token ids of 0, 1 and 2; Qwen's tokenizers split numbers into single digits."""
    return tuple(tokenizer.convert_tokens_to_ids(list(DIGITS)))


def digit_odds(
    tokenizer: PreTrainedTokenizerBase, generated: Sequence[int], log_probabilities: torch.Tensor
) -> tuple[DigitOdds, ...]:
    """Odds for each generated 0, 1 or 2 that stands right after `TA=`, `MQ=`, `VQ=` or `OA=`.

    Args:
        tokenizer: the checkpoint's.
        generated: the new token ids.
        log_probabilities: one row of three per new token.
    """
    wanted = digit_ids(tokenizer)
    found = []
    for place, token in enumerate(generated):
        if token not in wanted:
            continue
        before = tokenizer.decode(generated[:place], skip_special_tokens=True)
        if BEFORE_DIGIT.search(before):
            probabilities = log_probabilities[place].double().exp()
            mass = float(probabilities.sum())
            tie, first, second = (probabilities / mass).tolist()
            found.append(DigitOdds(offset=len(before), odds=(tie, first, second), mass=mass))
    return tuple(found)
