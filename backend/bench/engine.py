"""Measures the engine in this process against the model card's loop, on the same videos and the same forced replies.

Needs torch, transformers, pillow and OpenCV, and nothing else: on a machine with a GPU and no installation,
`python -m backend.bench engine --shape 7b` from a checkout is enough.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Protocol

import torch

from backend.bench.card import CardLoop
from backend.bench.limit import Ceilings, measure_ceilings, synchronize
from backend.bench.shape import machine_of, model_facts
from backend.bench.stages import STAGES, Watch
from backend.bench.transcript import Forcing, Transcript
from backend.engines.local.engine import LocalEngine
from backend.errors import VRThinkerError
from backend.frames import VideoPair
from backend.reasoning.contract import VRTHINKER_128 as CONTRACT
from backend.reasoning.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from backend.bench.shape import Parts

PROMPT = "Clip {number}: a red panda drinks tea in a misty forest, cinematic."
# How far the log-probabilities of forced tokens may be apart on average: rounding, and no more.
AGREE_FLOAT32, AGREE_HALF = 1e-3, 0.1

Videos = tuple["Path", "Path"]


@dataclass(frozen=True, slots=True)
class TurnCost:
    """What one reply cost, on average of the pairs: seconds by the clock, tokens read anew, pictures encoded."""

    seconds: float
    read: float
    pictures: float


@dataclass(frozen=True, slots=True)
class Run:
    """One way of judging so many pairs.

    `stages` and `least` are seconds: as measured, and what the hardware's ceilings would allow for the same passes.
    `gpu_bytes` is the most that was held, 0 on a CPU.
    """

    way: str
    pairs: int
    seconds: float
    stages: Mapping[str, float]
    least: Mapping[str, float]
    turns: tuple[TurnCost, ...]
    said_tokens: int
    gpu_bytes: int

    @property
    def pairs_per_hour(self) -> float:
        """If it went on like this."""
        return 3600 * self.pairs / self.seconds

    @property
    def tokens_per_s(self) -> float:
        """Tokens said per second of the whole time."""
        return self.said_tokens / self.seconds


@dataclass(frozen=True, slots=True)
class EngineBench:
    """All ways, the first of which is the card's loop, and what they were measured on."""

    machine: Mapping[str, str]
    model: Mapping[str, str]
    transcript: Mapping[str, int]
    ceilings: Ceilings
    runs: tuple[Run, ...]
    disagreement: float  # the largest mean distance between two ways' log-probabilities

    def ratio(self, run: Run) -> float:
        """How many times the card's pairs per hour."""
        return run.pairs_per_hour / self.runs[0].pairs_per_hour

    def as_json(self) -> dict[str, Any]:
        """Everything, the derived figures too."""
        derived = [
            {"pairs_per_hour": run.pairs_per_hour, "tokens_per_s": run.tokens_per_s, "ratio": self.ratio(run)}
            for run in self.runs
        ]
        told = asdict(self)
        told["runs"] = [run | more for run, more in zip(told["runs"], derived, strict=True)]
        return told


class Way(Protocol):
    """Judges pairs of videos with forced replies; gives back the seconds spent on reading frames."""

    def __call__(self, parts: Parts, forcing: Forcing, pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
        """`next_turn` is to be called after each reply."""
        ...


def bench_engine(
    parts: Parts,
    videos: Videos,
    transcript: Transcript,
    *,
    together: int = 1,
    repeats: int = 1,
    observe: Callable[[str], None] = lambda _text: None,
) -> EngineBench:
    """Measure every way of judging, the best of `repeats` tries each; `observe` is told what is being done.

    One pair by the card's loop and by the engine; and if `together` is more than one, so many pairs in a row and in one
    batch.

    Raises:
        MediaError: a video cannot be read.
        VRThinkerError: two ways did not do the same work.
    """
    machine = machine_of()
    observe("measuring the hardware's ceilings")
    trial = _Trial(parts, transcript, measure_ceilings(parts.model.device, parts.model.dtype))
    ways: dict[str, tuple[Way, int]] = {"card": (_by_the_card, 1), "engine": (_in_a_row, 1)}
    if together > 1:
        ways |= {f"{together} in a row": (_in_a_row, together), f"{together} in a batch": (_in_a_batch, together)}
    for name, (way, pairs) in ways.items():
        observe(f"{name}: warming up")
        trial.short().run(name, way, [videos] * min(pairs, 2))
    tries: list[tuple[Run, dict[str, torch.Tensor]]] = []
    for number in range(repeats):  # in turns, so that other work on the machine hits all ways alike
        for name, (way, pairs) in ways.items():
            observe(f"{name}: try {number + 1} of {repeats}")
            tries.append(trial.run(name, way, [videos] * pairs))
    runs = [min((run for run, _ in tries if run.way == name), key=lambda run: run.seconds) for name in ways]
    return EngineBench(
        machine=machine,
        model=model_facts(parts),
        transcript=transcript_facts(transcript, runs[0]),
        ceilings=trial.ceilings,
        runs=tuple(runs),
        disagreement=_agreed([said for _, said in tries], parts.model.dtype),
    )


def _by_the_card(parts: Parts, forcing: Forcing, pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
    loop = CardLoop(parts, forcing)
    for number, videos in enumerate(pairs, 1):
        loop.hold(videos, PROMPT.format(number=number), next_turn)
    return loop.frame_seconds


def _in_a_row(parts: Parts, forcing: Forcing, pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
    """As the product judges with BATCH=1."""
    engine = LocalEngine(parts.model, parts.tokenizer, parts.image_processor, choose=forcing.choose)
    return sum(_judged(engine, number, videos, next_turn) for number, videos in enumerate(pairs, 1))


def _in_a_batch(parts: Parts, forcing: Forcing, pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
    """As the product judges with a larger BATCH: turns overlap, and videos are read while the model works."""
    size = len(pairs)
    engine = LocalEngine(parts.model, parts.tokenizer, parts.image_processor, batch=size, choose=forcing.choose)
    with ThreadPoolExecutor(size) as threads:
        judging = [
            threads.submit(_judged, engine, number, videos, lambda: None) for number, videos in enumerate(pairs, 1)
        ]
        for one in judging:
            one.result()
    return 0.0


def _judged(engine: LocalEngine, number: int, videos: Videos, next_turn: Callable[[], None]) -> float:
    """Judge one pair by the product's own driver; the seconds that reading its frames took."""
    with VideoPair.open(*videos, CONTRACT) as source:
        prompt = PROMPT.format(number=number)
        judge(engine, source, CONTRACT, prompt, model_version="bench", observe=lambda _: next_turn())
        return source.seconds


@dataclass(frozen=True, slots=True)
class _Trial:
    """One model with one transcript, to be run in several ways."""

    parts: Parts
    transcript: Transcript
    ceilings: Ceilings

    def short(self) -> _Trial:
        """The same with an answer at once, for warming up."""
        return replace(self, transcript=Transcript(self.transcript.replies[-1:], ()))

    def run(self, name: str, way: Way, pairs: Sequence[Videos]) -> tuple[Run, dict[str, torch.Tensor]]:
        """What it cost, and how probable what was said was to the model."""
        model, forcing = self.parts.model, Forcing(self.parts.tokenizer, self.transcript)
        moments: list[float] = []
        _forget_peak(model.device)
        with Watch(model) as watch:

            def next_turn() -> None:
                synchronize(model.device)
                moments.append(time.perf_counter())
                watch.next_turn()

            started = time.perf_counter()
            reading = way(self.parts, forcing, pairs, next_turn)
            synchronize(model.device)
            seconds = time.perf_counter() - started
        stages = {"frames": reading} | {stage: watch.seconds(stage) for stage in STAGES}
        run = Run(
            way=name,
            pairs=len(pairs),
            seconds=seconds,
            stages=stages | {"around": seconds - sum(stages.values())},
            least={stage: watch.least_seconds(stage, self.ceilings) for stage in STAGES},
            turns=_turns(watch, [started, *moments], len(self.transcript.replies), len(pairs)),
            said_tokens=forcing.tokens * len(pairs),
            gpu_bytes=_peak(model.device),
        )
        return run, forcing.said()


def _turns(watch: Watch, moments: Sequence[float], turns: int, pairs: int) -> tuple[TurnCost, ...]:
    """Per reply, on average of the pairs; nothing for pairs whose turns overlap."""
    if len(moments) != 1 + turns * pairs:
        return ()
    took = [later - earlier for earlier, later in pairwise(moments)]
    return tuple(
        TurnCost(
            seconds=sum(took[turn::turns]) / pairs,
            read=sum(watch.tokens("prefill", place) for place in range(turn, turns * pairs, turns)) / pairs,
            pictures=sum(watch.pictures(place) for place in range(turn, turns * pairs, turns)) / pairs,
        )
        for turn in range(turns)
    )


def _agreed(said: Sequence[Mapping[str, torch.Tensor]], dtype: torch.dtype) -> float:
    """The largest mean distance between two ways' log-probabilities, over all pairs that both judged.

    Raises:
        VRThinkerError: it is more than rounding, so a comparison of times would mean nothing.
    """
    distances = [
        float((one[question] - other[question]).abs().mean())
        for one, other in combinations(said, 2)
        for question in one.keys() & other.keys()
    ]
    distance = max(distances)
    if not distance <= (AGREE_FLOAT32 if dtype == torch.float32 else AGREE_HALF):
        raise VRThinkerError(
            f"The ways did not do the same work: their log-probabilities are {distance:.2g} apart on average. "
            "Their times cannot be compared; please report this."
        )
    return distance


def transcript_facts(transcript: Transcript, run: Run) -> dict[str, int]:
    """How long the conversation is."""
    return {
        "turns": len(transcript.replies),
        "indices per call": len(transcript.calls[0]) if transcript.calls else 0,
        "tokens said": run.said_tokens // run.pairs,
    }


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0
