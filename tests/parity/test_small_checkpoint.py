"""The shipped checkpoint holds real conversations by itself: its own choice of frames, its own answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from backend.frames import VideoPair
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.settings import BUNDLED_CHECKPOINT
from backend.training.tiny.lesson import draw_pair
from backend.training.tiny.measure import DrawnVideos
from backend.types import StopCondition
from tests.checkpoints import Checkpoint, load_checkpoint
from tests.parity.test_parity import assert_equal, ours, theirs
from tests.reference_loop import SoughtVideos

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTES = 5


@pytest.fixture(scope="module")
def small() -> Checkpoint:
    return load_checkpoint(BUNDLED_CHECKPOINT)


def test_it_is_small_and_says_what_it_is() -> None:
    assert sum(path.stat().st_size for path in BUNDLED_CHECKPOINT.iterdir()) <= MEGABYTES * 1_000_000
    assert "Do not use them" in (BUNDLED_CHECKPOINT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [0, 1])
def test_its_own_conversations_equal_the_card_s_loop(
    number: int, small: Checkpoint, clips: list[tuple[Path, Path]]
) -> None:
    prompt = ("A ball moves across a red background.", "Naïve robots 🎬 at the beach")[number]
    product = ours(small, VideoPair.open(*clips[number], VRTHINKER_128), prompt)
    assert_equal(product, theirs(small, SoughtVideos(clips[number]), prompt))
    assert product[1].stop is StopCondition.ANSWERED


def test_it_keeps_to_the_protocol_and_looks_where_it_likes(small: Checkpoint) -> None:
    rng, engine = np.random.default_rng(77), small.engine()
    pairs = [draw_pair(rng) for _ in range(6)]
    judgements = [judge(engine, DrawnVideos(p), VRTHINKER_128, p.prompt, model_version="small") for p in pairs]
    assert [judgement.stop for judgement in judgements] == [StopCondition.ANSWERED] * len(pairs)
    assert not any(judgement.forced for judgement in judgements)
    assert len({judgement.turns[0].served for judgement in judgements}) > 1
    assert len({tuple(judgement.labels.items()) for judgement in judgements}) > 1
    for judgement in judgements:
        assert all(verdict.rationale and verdict.confidence for verdict in judgement.verdicts.values())
