"""Measures the engine in this process against the model card's loop, on the same videos and the same forced replies.

Needs torch, transformers, pillow and OpenCV, and nothing else: on a machine with a GPU and no installation,
`python -m backend.bench engine --shape 7b` from a checkout is enough.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import torch
import transformers

from backend.bench.card import CardLoop
from backend.bench.limit import Ceilings, measure_ceilings, synchronize
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
    disagreement: float  # largest over the ways, of their mean distance to the card's log-probabilities

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

    def __call__(self, pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
        """`next_turn` is to be called after each reply."""
        ...


def bench_engine(
    parts: Parts,
    videos: Videos,
    transcript: Transcript,
    *,
    repeats: int = 1,
    observe: Callable[[str], None] = lambda _text: None,
) -> EngineBench:
    """Measure every way of judging, the best of `repeats` tries each; `observe` is told what is being done.

    Raises:
        MediaError: a video cannot be read.
        VRThinkerError: two ways did not do the same work.
    """
    machine = machine_of()
    observe("measuring the hardware's ceilings")
    trial = _Trial(parts, transcript, measure_ceilings(parts.model.device, parts.model.dtype))
    ways: dict[str, tuple[Way, int]] = {"card": (_card_way(parts), 1), "engine": (_engine_way(parts), 1)}
    runs: list[Run] = []
    said: list[torch.Tensor] = []
    for name, (way, pairs) in ways.items():
        observe(f"{name}: warming up")
        trial.short().run(name, way, [videos])
        tries = []
        for number in range(repeats):
            observe(f"{name}: try {number + 1} of {repeats}")
            tries.append(trial.run(name, way, [videos] * pairs))
        runs.append(min((run for run, _ in tries), key=lambda run: run.seconds))
        said.append(tries[-1][1])
    return EngineBench(
        machine=machine,
        model=model_facts(parts),
        transcript=transcript_facts(transcript, runs[0]),
        ceilings=trial.ceilings,
        runs=tuple(runs),
        disagreement=_agreed(said, parts.model.dtype),
    )


def _card_way(parts: Parts) -> Way:
    loop = CardLoop(parts)

    def way(pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
        before = loop.frame_seconds
        for number, videos in enumerate(pairs, 1):
            loop.hold(videos, PROMPT.format(number=number), next_turn)
        return loop.frame_seconds - before

    return way


def _engine_way(parts: Parts) -> Way:
    """As the product judges: one conversation after the other through its own driver."""
    engine = LocalEngine(parts.model, parts.tokenizer, parts.image_processor)

    def way(pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
        seconds = 0.0
        for number, videos in enumerate(pairs, 1):
            with VideoPair.open(*videos, CONTRACT) as source:
                prompt = PROMPT.format(number=number)
                judge(engine, source, CONTRACT, prompt, model_version="bench", observe=lambda _: next_turn())
                seconds += source.seconds
        return seconds

    return way


@dataclass(frozen=True, slots=True)
class _Trial:
    """One model with one transcript, to be run in several ways."""

    parts: Parts
    transcript: Transcript
    ceilings: Ceilings

    def short(self) -> _Trial:
        """The same with an answer at once, for warming up."""
        return replace(self, transcript=Transcript(self.transcript.replies[-1:], ()))

    def run(self, name: str, way: Way, pairs: Sequence[Videos]) -> tuple[Run, torch.Tensor]:
        """What it cost, and the log-probabilities [tokens, pairs] of what was said."""
        model = self.parts.model
        moments: list[float] = []
        _forget_peak(model.device)
        with Watch(model) as watch, Forcing(self.parts, self.transcript) as forcing:

            def next_turn() -> None:
                synchronize(model.device)
                moments.append(time.perf_counter())
                watch.next_turn()

            started = time.perf_counter()
            reading = way(pairs, next_turn)
            synchronize(model.device)
            seconds = time.perf_counter() - started
        stages = {"frames": reading} | {stage: watch.seconds(stage) for stage in STAGES}
        said = forcing.log_probabilities()
        run = Run(
            way=name,
            pairs=len(pairs),
            seconds=seconds,
            stages=stages | {"around": seconds - sum(stages.values())},
            least={stage: watch.least_seconds(stage, self.ceilings) for stage in STAGES},
            turns=_turns(watch, [started, *moments], len(self.transcript.replies), len(pairs)),
            said_tokens=said.numel(),
            gpu_bytes=_peak(model.device),
        )
        return run, said.reshape(-1, forcing.tokens).T if said.shape[1] == 1 else said


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


def _agreed(said: Sequence[torch.Tensor], dtype: torch.dtype) -> float:
    """The largest mean distance to the first way's log-probabilities, over the pairs that both judged.

    Raises:
        VRThinkerError: it is more than rounding, so a comparison of times would mean nothing.
    """
    first = said[0]
    distance = max(float((one[:, : first.shape[1]] - first).abs().mean()) for one in said)
    if not distance <= (AGREE_FLOAT32 if dtype == torch.float32 else AGREE_HALF):
        raise VRThinkerError(
            f"The ways did not do the same work: their log-probabilities are {distance:.2g} apart on average. "
            "Their times cannot be compared; please report this."
        )
    return distance


def model_facts(parts: Parts) -> dict[str, str]:
    """What was run."""
    model = parts.model
    return {
        "model": parts.name,
        "parameters": f"{model.num_parameters():,}",
        "precision": str(model.dtype).removeprefix("torch."),
        "attention": str(model.config._attn_implementation),
    }


def transcript_facts(transcript: Transcript, run: Run) -> dict[str, int]:
    """How long the conversation is."""
    return {
        "turns": len(transcript.replies),
        "indices per call": len(transcript.calls[0]) if transcript.calls else 0,
        "tokens said": run.said_tokens // run.pairs,
    }


def machine_of() -> dict[str, str]:
    """What the figures depend on."""
    gpu = torch.cuda.is_available()
    return {
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if gpu else "none",
        "cores": str(os.cpu_count()),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
    }


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0
