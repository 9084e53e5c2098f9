"""Whatever its weights, a model says the transcript, and what it would have said itself is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from backend.bench.transcript import Forcing, write_transcript
from backend.frames import VideoPair
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.reasoning.reply import parse_reply
from backend.types import Answer, SelectFrames
from tests.checkpoints import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from backend.bench.shape import Parts


@pytest.mark.parametrize(("turns", "tokens", "indices"), [(1, 1, 1), (3, 90, 4), (6, 300, 12)])
def test_replies_are_well_formed_and_as_long_as_asked_for(parts: Parts, turns: int, tokens: int, indices: int) -> None:
    transcript = write_transcript(parts.tokenizer, VRTHINKER_128, turns=turns, tokens=tokens, indices=indices)
    *calls, answer = (parse_reply(reply, VRTHINKER_128) for reply in transcript.replies)
    assert calls == [SelectFrames(slots) for slots in transcript.calls]
    assert isinstance(answer, Answer)
    assert {len(slots) for slots in transcript.calls} <= {indices}
    lengths = [len(parts.tokenizer(reply)["input_ids"]) + 1 for reply in transcript.replies]
    assert min(lengths) >= tokens
    if tokens == 300:
        assert max(lengths) <= tokens + 5  # one word more than needed


def test_a_forced_model_says_every_reply_of_each_conversation(parts: Parts, videos: tuple[Path, Path]) -> None:
    transcript = write_transcript(parts.tokenizer, VRTHINKER_128, turns=3, tokens=20, indices=2)
    engine = Checkpoint(parts.model, parts.tokenizer, parts.image_processor).engine()
    with Forcing(parts, transcript) as forcing:
        for prompt in ("A cat.", "A dog."):
            pair = VideoPair.open(*videos, VRTHINKER_128)
            judgement = judge(engine, pair, VRTHINKER_128, prompt, model_version="forced")
            assert tuple(turn.reply for turn in judgement.turns) == transcript.replies
    said = forcing.log_probabilities()
    assert said.shape == (2 * forcing.tokens, 1)
    assert bool((said < 0).all())
    cat, dog = said.reshape(2, -1)
    assert not torch.allclose(cat, dog, atol=1e-3)


def test_the_model_is_its_own_again_afterwards(parts: Parts, videos: tuple[Path, Path]) -> None:
    transcript = write_transcript(parts.tokenizer, VRTHINKER_128, turns=1, tokens=1, indices=1)
    model = parts.model
    with Forcing(parts, transcript):
        assert model.lm_head._forward_hooks
    assert not model.lm_head._forward_hooks
    assert not model.model.language_model._forward_pre_hooks
