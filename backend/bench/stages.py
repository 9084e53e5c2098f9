"""Where a model's time goes: every pass through its parts, timed and counted from outside, however it is driven."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import torch

from backend.bench.limit import Arithmetic, synchronize

if TYPE_CHECKING:
    from types import TracebackType

    from backend.bench.limit import Ceilings, Cost

Stage: TypeAlias = Literal["vision", "prefill", "decode"]
STAGES: tuple[Stage, ...] = ("vision", "prefill", "decode")


@dataclass(slots=True)
class Pass:
    """One run through the vision tower or the language model: `tokens` are patches or new tokens of all rows."""

    stage: Stage
    turn: int
    tokens: int
    pictures: int
    cost: Cost
    seconds: float = 0.0
    marks: list[tuple[Any, Any]] = field(default_factory=list)


class Watch:
    """While open, notes every pass; `next_turn` says that a reply is finished. Times are known after closing.

    On a GPU they are taken by the GPU's own clock, so that watching does not make it wait.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401  # the library has no types
        """`model` is a `Qwen2_5_VLForConditionalGeneration`."""
        self._model = model
        self._device: torch.device = model.device
        self._arithmetic = Arithmetic(model.config, model.dtype.itemsize)
        self._turn = 0
        self._started: Any = None
        self.passes: list[Pass] = []

    def next_turn(self) -> None:
        """What follows belongs to the next reply."""
        self._turn += 1

    def __enter__(self) -> Self:
        inner, head = self._model.model, self._model.get_output_embeddings()
        self._hooks = [
            inner.visual.register_forward_pre_hook(self._sees, with_kwargs=True),
            inner.language_model.register_forward_pre_hook(self._reads, with_kwargs=True),
            head.register_forward_pre_hook(self._starts),
            *(part.register_forward_hook(self._ends) for part in (inner.visual, inner.language_model, head)),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        synchronize(self._device)
        for one in self.passes:
            one.seconds = sum(self._between(start, end) for start, end in one.marks)

    def seconds(self, stage: Stage) -> float:
        """All passes of a stage together."""
        return sum(one.seconds for one in self.passes if one.stage == stage)

    def least_seconds(self, stage: Stage, ceilings: Ceilings) -> float:
        """What they would take if nothing but the hardware's ceilings held them up."""
        return sum(one.cost.least_seconds(ceilings) for one in self.passes if one.stage == stage)

    def tokens(self, stage: Stage, turn: int | None = None) -> int:
        """How many patches or tokens went through a stage, in one turn or in all."""
        return sum(one.tokens for one in self.passes if one.stage == stage and turn in {None, one.turn})

    def pictures(self, turn: int) -> int:
        """How many pictures were encoded in one turn."""
        return sum(one.pictures for one in self.passes if one.turn == turn)

    def _sees(self, _module: torch.nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        grids = inputs["grid_thw"] if "grid_thw" in inputs else args[1]
        patches = int(grids.prod(-1).sum())
        self._begin("vision", patches, len(grids), self._arithmetic.vision(patches, len(grids)))

    def _reads(self, _module: torch.nn.Module, _args: object, inputs: dict[str, Any]) -> None:
        rows, tokens, _ = inputs["inputs_embeds"].shape
        cache = inputs.get("past_key_values")
        context = int(cache.get_seq_length()) if cache is not None else 0
        stage: Stage = "prefill" if tokens > 1 else "decode"
        self._begin(stage, rows * tokens, 0, self._arithmetic.text(rows, tokens, context))

    def _begin(self, stage: Stage, tokens: int, pictures: int, cost: Cost) -> None:
        self.passes.append(Pass(stage, self._turn, tokens, pictures, cost))
        self._started = self._now()

    def _starts(self, _module: torch.nn.Module, _args: object) -> None:
        """The output layer belongs to the pass before it."""
        self._started = self._now()

    def _ends(self, _module: torch.nn.Module, _args: object, _output: object) -> None:
        self.passes[-1].marks.append((self._started, self._now()))

    def _now(self) -> Any:  # noqa: ANN401  # a moment of whichever clock
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch types it not yet
        event.record()
        return event

    def _between(self, start: Any, end: Any) -> float:  # noqa: ANN401  # moments of whichever clock
        return float(start.elapsed_time(end) / 1000 if self._device.type == "cuda" else end - start)
