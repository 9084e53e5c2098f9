"""Odds are read at the answer's digits, from the model's own logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from backend.engines.local.odds import digit_odds

if TYPE_CHECKING:
    from tests.checkpoints import Checkpoint

LIKELY = torch.tensor([0.5, 0.2, 0.1]).log()


def ids(checkpoint: Checkpoint, text: str) -> list[int]:
    found: list[int] = checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ("<Answer>TA=1, VQ=0, MQ=2, OA=1</Answer>", [11, 17, 23, 29]),
        ("<Answer>TA = 1,\nOA= 2</Answer>", [13, 20]),
        ("日本 é <Answer>TA=2</Answer>", [16]),
        ("TA=3, at 0:12, frame 2, XTA=1, ta=1", []),
        ("TA=12", [3]),
        ("", []),
    ],
)
def test_digits_are_found_where_they_answer(text: str, offsets: list[int], checkpoint: Checkpoint) -> None:
    generated = ids(checkpoint, text)
    found = digit_odds(checkpoint.tokenizer, generated, LIKELY.repeat(len(generated), 1))
    assert [digit.offset for digit in found] == offsets
    assert all(text[digit.offset] in "012" for digit in found)


def test_odds_are_renormalised_and_their_mass_is_kept(checkpoint: Checkpoint) -> None:
    generated = ids(checkpoint, "TA=1")
    (digit,) = digit_odds(checkpoint.tokenizer, generated, LIKELY.repeat(len(generated), 1))
    assert digit.odds == pytest.approx((0.625, 0.25, 0.125))
    assert digit.mass == pytest.approx(0.8)


def test_control_tokens_do_not_shift_the_offsets(checkpoint: Checkpoint) -> None:
    generated = ids(checkpoint, "a<|im_start|>b TA=1<|im_end|>")
    (digit,) = digit_odds(checkpoint.tokenizer, generated, LIKELY.repeat(len(generated), 1))
    assert digit.offset == len("ab TA=")
