"""How well a checkpoint does on pairs that it has never seen, through the product's own loop."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.reasoning.judge import judge
from backend.training.tiny.lesson import CONTRACT, conclusions, draw_pair
from backend.training.tiny.scene import picture
from backend.types import Clip, Dimension, Frame, StopCondition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend.reasoning.judge import Engine
    from backend.training.tiny.lesson import Pair
    from backend.types import FrameRef, Judgement, Labels


@dataclass(frozen=True, slots=True)
class Measured:
    """Of `pairs` conversations `answered` ended with an answer, in `seconds` each, drawing the pictures not counted.

    `right` counts agreement with the scenes' true labels; `constant` what always giving the commonest label would get.
    """

    pairs: int
    answered: int
    right: Mapping[Dimension, int]
    constant: Mapping[Dimension, int]
    turns: float
    requests: int
    seconds: float


class DrawnVideos:
    """A pair of scenes as a `FrameSource`, with pictures exactly as large as real ones."""

    def __init__(self, pair: Pair) -> None:
        """Draws each frame when it is first asked for."""
        self._scenes = {1: pair.first, 2: pair.second}
        self._frames: dict[FrameRef, Frame] = {}
        self.seconds = 0.0  # spent drawing

    @property
    def clips(self) -> tuple[Clip, Clip]:
        """Both as long as the grid."""
        first, second = (Clip(number, CONTRACT.slots, 24.0, *CONTRACT.image_size) for number in (1, 2))
        return first, second

    def frames(self, refs: Sequence[FrameRef]) -> tuple[Frame, ...]:
        """The same object for a repeated reference."""
        started = time.perf_counter()
        for ref in refs:
            if ref not in self._frames:
                image = picture(self._scenes[ref.video], ref.slot / CONTRACT.slots, CONTRACT.image_size[0])
                self._frames[ref] = Frame(ref, ref.slot, ref.slot, 0.0, image)
        self.seconds += time.perf_counter() - started
        return tuple(self._frames[ref] for ref in refs)


def measure(engine: Engine, *, seed: int, pairs: int) -> Measured:
    """Judge `pairs` random pairs; another `seed` than the training's gives pairs that training never showed."""
    rng = np.random.default_rng(seed)
    judgements: list[Judgement] = []
    truths: list[Labels] = []
    seconds = 0.0
    for _ in range(pairs):
        pair = draw_pair(rng)
        videos = DrawnVideos(pair)
        started = time.perf_counter()
        judgements.append(judge(engine, videos, CONTRACT, pair.prompt, model_version="measured"))
        seconds += time.perf_counter() - started - videos.seconds
        truths.append({dimension: label for dimension, (label, _) in conclusions(pair).items()})
    return _counted(judgements, truths, seconds)


def _counted(judgements: list[Judgement], truths: list[Labels], seconds: float) -> Measured:
    both = list(zip(judgements, truths, strict=True))
    return Measured(
        pairs=len(both),
        answered=sum(judgement.stop is StopCondition.ANSWERED and not judgement.forced for judgement in judgements),
        right={d: sum(judgement.labels.get(d) == truth[d] for judgement, truth in both) for d in Dimension},
        constant={d: Counter(truth[d] for truth in truths).most_common(1)[0][1] for d in Dimension},
        turns=sum(len(judgement.turns) for judgement in judgements) / len(both),
        requests=len({turn.served for judgement in judgements for turn in judgement.turns if turn.served}),
        seconds=seconds / len(both),
    )
