"""Random models of every shape can read what the small checkpoint's tokenizer writes."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from backend.bench.shape import BUNDLED, SHAPES, _config


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_knows_all_tokens(shape: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    assert _config(shape, tokenizer).get_text_config().vocab_size >= len(tokenizer)
