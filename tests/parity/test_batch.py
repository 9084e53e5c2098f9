"""Conversations held together say, token for token, what each says alone; and none harms its neighbours."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backend.errors import EngineError, MediaError
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.settings import BUNDLED_CHECKPOINT
from backend.training.tiny.lesson import draw_pair
from backend.training.tiny.measure import DrawnVideos
from backend.types import StopCondition, Text
from tests.checkpoints import Checkpoint, load_checkpoint
from tests.parity.generation import Script, Steering, long_conversation
from tests.parity.pictures import SmallVideos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.engines.local.engine import LocalEngine
    from backend.reasoning.contract import Contract
    from backend.reasoning.judge import FrameSource
    from backend.types import Conversation, Frame, FrameRef, Judgement

ANSWER = "</Think><Answer>TA=1, VQ=2, MQ=0, OA=1</Answer>"


@dataclass(frozen=True)
class Case:
    """One pair: what the model will say of it, and on which videos."""

    prompt: str
    scripts: Sequence[Script]
    videos: FrameSource
    contract: Contract = VRTHINKER_128

    def judged(self, engine: LocalEngine) -> Judgement:
        return judge(engine, self.videos, self.contract, self.prompt, model_version="batch", force_answer=False)


def cases() -> list[Case]:
    """Different turns, lengths, pictures and endings."""
    ordinary = [
        Case(f"Pair {k}{' and more' * 20 * k}", long_conversation(seed=k, turns=turns, most=most), SmallVideos(k))
        for k, (turns, most) in enumerate([(6, 3), (1, 1), (3, 12), (2, 1), (6, 1), (4, 6)])
    ]
    brief = replace(VRTHINKER_128, max_new_tokens=20, max_turns=1)
    wide = SmallVideos(8, size=(140, 112))
    return [
        *ordinary,
        Case("cut off", [Script(30, ANSWER)], SmallVideos(6), brief),
        Case("malformed", [Script(5, "no idea"), Script(9, "<tool_call>{"), Script(3, ANSWER)], SmallVideos(7)),
        Case("wide", long_conversation(seed=8, turns=3, most=2), wide),
    ]


def script_of(conversation: Conversation, all_cases: Sequence[Case]) -> Script:
    """The script for a conversation's next reply."""
    question = caption_of(conversation)
    [case] = [case for case in all_cases if f"Prompt: {case.prompt}\n" in question]
    return case.scripts[sum(message.role == "assistant" for message in conversation)]


def caption_of(conversation: Conversation) -> str:
    return "".join(part.text for part in conversation[1].parts if isinstance(part, Text))


def said(steering: Steering) -> dict[str, list[tuple[tuple[int, ...], list[int]]]]:
    """Per conversation, the tokens of each prompt and of the reply to it."""
    found = defaultdict(list)
    for reply in steering.replies:
        found[caption_of(reply.conversation)].append((reply.prompt.ids, reply.tokens))
    return dict(found)


def without_times(judgement: Judgement) -> object:
    return (
        judgement.labels,
        judgement.stop,
        judgement.frames,
        [(turn.reply, turn.prompt_tokens, turn.completion_tokens, turn.cached_tokens) for turn in judgement.turns[1:]],
    )


@pytest.mark.parametrize("batch", [2, 4, 16])
def test_together_they_say_what_each_says_alone(batch: int, random_checkpoint: Checkpoint) -> None:
    chosen = cases()
    alone, together = (Steering(random_checkpoint, of=lambda one: script_of(one, chosen)) for _ in range(2))
    judgements = [case.judged(random_checkpoint.engine(choose=alone)) for case in chosen]
    engine = random_checkpoint.engine(batch=batch, choose=together)
    with ThreadPoolExecutor(min(batch, len(chosen))) as threads:
        found = list(threads.map(lambda case: case.judged(engine), chosen))
    assert said(together) == said(alone)
    assert [without_times(one) for one in found] == [without_times(one) for one in judgements]
    assert judgements[6].stop is StopCondition.TRUNCATED
    assert most_at_once(together) >= min(batch, 4)


def most_at_once(steering: Steering) -> int:
    return max(steering.together)


def test_more_callers_than_places_are_served_all_the_same(random_checkpoint: Checkpoint) -> None:
    chosen = cases()
    alone, together = (Steering(random_checkpoint, of=lambda one: script_of(one, chosen)) for _ in range(2))
    for case in chosen:
        case.judged(random_checkpoint.engine(choose=alone))
    engine = random_checkpoint.engine(batch=2, choose=together)
    with ThreadPoolExecutor(len(chosen)) as threads:
        list(threads.map(lambda case: case.judged(engine), chosen))
    assert {key: sorted(turns) for key, turns in said(together).items()} == said(alone)
    assert most_at_once(together) == 2


class TornVideos(SmallVideos):
    """Videos that break off once more than the initial frames are wanted."""

    def frames(self, refs: Sequence[FrameRef]) -> Sequence[Frame]:
        if len(refs) != 8:
            raise MediaError("torn")
        return super().frames(refs)


def test_a_bad_pair_fails_alone(random_checkpoint: Checkpoint) -> None:
    good = cases()
    torn = Case("torn", long_conversation(seed=20, turns=3, most=2), TornVideos(20))
    greedy = Case("too long", [Script(3, ANSWER)], SmallVideos(21), replace(VRTHINKER_128, system="x " * 70_000))
    chosen = [good[0], torn, good[2], greedy, good[5]]
    alone, together = (Steering(random_checkpoint, of=lambda one: script_of(one, chosen)) for _ in range(2))
    expected = [case.judged(random_checkpoint.engine(choose=alone)) for case in (good[0], good[2], good[5])]
    engine = random_checkpoint.engine(batch=4, choose=together)
    with ThreadPoolExecutor(5) as threads:
        running = [threads.submit(case.judged, engine) for case in chosen]
        assert isinstance(running[1].exception(), MediaError)
        assert isinstance(running[3].exception(), EngineError)
        assert "the model reads at most" in str(running[3].exception())
        found = [running[k].result() for k in (0, 2, 4)]
    assert [without_times(one) for one in found] == [without_times(one) for one in expected]


def test_what_a_turn_has_read_is_not_computed_again_in_a_batch(random_checkpoint: Checkpoint) -> None:
    chosen = [Case(f"Pair {k}", long_conversation(seed=k, turns=4, most=3), SmallVideos(k)) for k in range(8)]
    steering = Steering(random_checkpoint, of=lambda one: script_of(one, chosen))
    engine = random_checkpoint.engine(batch=4, choose=steering)
    with ThreadPoolExecutor(4) as threads:
        judgements = list(threads.map(lambda case: case.judged(engine), chosen))
    for judgement in judgements:
        for before, after in zip(judgement.turns, judgement.turns[1:], strict=False):
            assert before.prompt_tokens <= after.cached_tokens < after.prompt_tokens


@pytest.mark.parametrize("window", [0, 1, 2])
def test_pictures_that_leave_the_memory_window_change_nothing_else(window: int, random_checkpoint: Checkpoint) -> None:
    contract = replace(VRTHINKER_128, memory_window=window)
    chosen = [Case(f"Pair {k}", long_conversation(seed=k, turns=5, most=3), SmallVideos(k), contract) for k in range(3)]
    fresh, alone, together = (Steering(random_checkpoint, of=lambda one: script_of(one, chosen)) for _ in range(3))
    judgements = [case.judged(random_checkpoint.engine(choose=alone)) for case in chosen]
    for reply in list(alone.replies):  # once more, nothing kept from turn to turn
        random_checkpoint.engine(choose=fresh).complete(reply.conversation, max_new_tokens=2048)
    engine = random_checkpoint.engine(batch=3, choose=together)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda case: case.judged(engine), chosen))
    assert said(fresh) == said(alone) == said(together)
    assert all(turn.cached_tokens > 0 for judgement in judgements for turn in judgement.turns[1:])


@pytest.fixture(scope="module")
def small() -> Checkpoint:
    return load_checkpoint(BUNDLED_CHECKPOINT)


def test_the_small_checkpoint_says_together_what_it_says_alone(small: Checkpoint) -> None:
    rng = np.random.default_rng(5)
    pairs = [draw_pair(rng) for _ in range(6)]

    def judged(engine: LocalEngine, number: int) -> Judgement:
        return judge(engine, DrawnVideos(pairs[number]), VRTHINKER_128, pairs[number].prompt, model_version="small")

    alone = [judged(small.engine(), number) for number in range(len(pairs))]
    engine = small.engine(batch=3)
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda number: judged(engine, number), range(len(pairs))))
    assert [without_times(one) for one in together] == [without_times(one) for one in alone]
    for one, other in zip(together, alone, strict=True):
        for dimension, verdict in one.verdicts.items():
            assert verdict.odds == pytest.approx(other.verdicts[dimension].odds, abs=1e-4)
