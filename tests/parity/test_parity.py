"""With the same checkpoint in float32 the product says what the card's loop says, token for token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.frames import VideoPair
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.reasoning.rollout import begin, step, supply
from tests.parity.generation import Log, Script, Steering, long_conversation, watched
from tests.parity.pictures import SmallVideos
from tests.reference_loop import SoughtVideos, hold_reference_conversation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backend.reasoning.judge import FrameSource
    from backend.types import Judgement
    from tests.checkpoints import Checkpoint
    from tests.reference_loop import Videos

PROMPTS = (
    "A robot rides a unicorn.",
    "",
    "日落时的海边, café à Paris 🎬 — «слон» {braces} and\n\nan empty line ",
    "x " * 400,
)


def ours(
    checkpoint: Checkpoint, source: FrameSource, prompt: str, scripts: Sequence[Script] | None = None
) -> tuple[Log, Judgement]:
    steering = Steering(checkpoint, scripts)
    judgement = judge(checkpoint.engine(choose=steering), source, VRTHINKER_128, prompt, model_version="parity")
    return steering.log, judgement


def theirs(
    checkpoint: Checkpoint, videos: Videos, prompt: str, scripts: Sequence[Script] | None = None
) -> tuple[Log, list[str]]:
    with watched(checkpoint, scripts) as log:
        return log, hold_reference_conversation(checkpoint, videos, prompt)


def assert_equal(product: tuple[Log, Judgement], reference: tuple[Log, list[str]]) -> None:
    (our_log, judgement), (their_log, replies) = product, reference
    assert our_log.prompts == their_log.prompts
    assert our_log.replies == their_log.replies
    assert [turn.reply for turn in judgement.turns] == replies


@pytest.mark.parametrize(("turns", "prompt"), list(zip((6, 1, 6, 3), PROMPTS, strict=True)))
def test_scripted_conversations_are_equal(random_checkpoint: Checkpoint, turns: int, prompt: str) -> None:
    scripts = long_conversation(seed=turns + len(prompt), turns=turns, most=12)
    videos = SmallVideos(turns)
    product = ours(random_checkpoint, videos, prompt, scripts)
    assert_equal(product, theirs(random_checkpoint, videos, prompt, scripts))
    assert len(product[1].turns) == turns


def test_conversations_on_real_clips_are_equal(random_checkpoint: Checkpoint, clips: list[tuple[Path, Path]]) -> None:
    scripts = long_conversation(seed=2, turns=3, most=2)
    product = ours(random_checkpoint, VideoPair.open(*clips[0], VRTHINKER_128), PROMPTS[2], scripts)
    assert_equal(product, theirs(random_checkpoint, SoughtVideos(clips[0]), PROMPTS[2], scripts))


def test_the_replies_depend_on_the_pictures(random_checkpoint: Checkpoint) -> None:
    """Otherwise equal replies would say nothing about equal pictures."""
    scripts = [Script(24, "<Answer>TA=1, VQ=1, MQ=1, OA=1</Answer>")]
    replies = [ours(random_checkpoint, SmallVideos(seed), "A cat.", scripts)[0].replies[0] for seed in (1, 2)]
    assert replies[0] != replies[1]


def test_what_a_turn_has_read_is_not_computed_again(random_checkpoint: Checkpoint) -> None:
    _, judgement = ours(random_checkpoint, SmallVideos(3), "A cat.", long_conversation(seed=9, turns=6, most=12))
    for before, after in zip(judgement.turns, judgement.turns[1:], strict=False):
        assert before.prompt_tokens <= after.cached_tokens < after.prompt_tokens


def test_two_conversations_in_turns_are_equal_to_each_alone(random_checkpoint: Checkpoint) -> None:
    scripts = [long_conversation(seed=seed, turns=3, most=4) for seed in (1, 2)]
    alone = [ours(random_checkpoint, SmallVideos(k), "A cat.", scripts[k])[0].replies for k in (0, 1)]
    steering = Steering(random_checkpoint, [scripts[k][turn] for turn in range(3) for k in (0, 1)])
    engine = random_checkpoint.engine(choose=steering)
    videos = [SmallVideos(0), SmallVideos(1)]
    rollouts = [begin(VRTHINKER_128, "A cat.") for _ in videos]
    for _ in range(3):
        for k in (0, 1):
            rollouts[k] = supply(rollouts[k], videos[k].frames(rollouts[k].wanted))
            rollouts[k] = step(rollouts[k], engine.complete(rollouts[k].conversation, max_new_tokens=2048))
    assert [steering.log.replies[k::2] for k in (0, 1)] == alone
