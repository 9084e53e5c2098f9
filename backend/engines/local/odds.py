"""The model's odds for its answer digits, from three logits and one sum per generated token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from backend.types import DigitOdds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

DIGITS = ("0", "1", "2")
BEFORE_DIGIT = re.compile(r"\b(?:TA|MQ|VQ|OA)\s*=\s*\Z")


class DigitRecorder:
    """While open, notes for every forward pass the log-probabilities of the tokens 0, 1 and 2 at the last place.

    These are the model's own, before a repetition penalty: the penalty is a habit of decoding, not a belief. All
    logits of 2,048 tokens would take 1.2 GB with Qwen's vocabulary; these take 24 kB.
    """

    def __init__(self, model: Qwen2_5_VLForConditionalGeneration, digit_ids: Sequence[int]) -> None:
        """`digit_ids` are the token ids of 0, 1 and 2."""
        self._head = model.get_output_embeddings()
        self._digit_ids = list(digit_ids)
        self._rows: list[torch.Tensor] = []

    def __enter__(self) -> DigitRecorder:
        self._handle = self._head.register_forward_hook(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.remove()

    def _note(self, _module: torch.nn.Module, _inputs: object, logits: torch.Tensor) -> None:
        last = logits[0, -1].float()
        self._rows.append(last[self._digit_ids] - last.logsumexp(-1))

    def log_probabilities(self) -> torch.Tensor:
        """[generated tokens, 3], on the CPU."""
        return torch.stack(self._rows).cpu()


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
