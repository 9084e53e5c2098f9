"""Figures for people: tables of what the benches found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from backend.bench.engine import EngineBench
    from backend.bench.frames import FramesBench

GB = 1e9


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure, its unit, and the limit it has to stay under, if there is one."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it stays under its limit."""
        return self.limit is None or self.value < self.limit


def measures_table(title: str, measures: Iterable[Measure]) -> Table:
    """One row for each figure, with its limit and whether that was met."""
    shown = Table("measure", "value", "limit", "", title=title)
    for one in measures:
        limit = "" if one.limit is None else f"< {one.limit:g} {one.unit}"
        mark = "" if one.limit is None else "met" if one.passed else "MISSED"
        shown.add_row(one.name, f"{one.value:.3g} {one.unit}", limit, mark)
    return shown


def frames_table(bench: FramesBench) -> Table:
    """The rows for people."""
    title = "Frames against the card's way, " + ", ".join(f"{name} {value}" for name, value in bench.machine.items())
    columns = ("clip", "frames", "turns", "pictures", "exact", "card exact", "s", "card s", "ratio", "CPU ratio", "")
    shown = Table(*columns, title=title)
    for row in bench.rows:
        times = (f"{row.seconds:.3f}", f"{row.card_seconds:.3f}", f"{row.ratio:.1f}")
        exact = (f"{row.exact / row.shown:.0%}", f"{row.card_exact / row.shown:.0%}")
        mark = "" if row.ratio >= row.target else f"< {row.target:g}"
        counts = (str(row.frames), str(row.turns), str(row.shown))
        shown.add_row(row.clip, *counts, *exact, *times, f"{row.card_cpu_seconds / row.cpu_seconds:.1f}", mark)
    return shown


def engine_tables(bench: EngineBench) -> Iterator[Table]:
    """The ways side by side, where their time went, and what each turn cost."""
    ways = Table("way", "pairs", "s", "pairs/h", "ratio", "tokens said/s", "GPU memory", title=_told(bench.model))
    stages = Table(
        "way", *bench.runs[0].stages, caption=f"seconds, and how many times the least that {_limits(bench)} allow"
    )
    for run in bench.runs:
        memory = f"{run.gpu_bytes / GB:.1f} GB" if run.gpu_bytes else "-"
        figures = (f"{run.seconds:.2f}", f"{run.pairs_per_hour:.0f}", f"{bench.ratio(run):.2f}")
        ways.add_row(run.way, str(run.pairs), *figures, f"{run.tokens_per_s:.0f}", memory)
        stages.add_row(
            run.way,
            *(
                f"{seconds:.2f}" + (f" ({seconds / run.least[stage]:.1f} x)" if run.least.get(stage) else "")
                for stage, seconds in run.stages.items()
            ),
        )
    yield ways
    yield stages
    turns = Table(
        "turn", *(f"{run.way}: {name}" for run in bench.runs if run.turns for name in ("s", "read", "encoded"))
    )
    for number, costs in enumerate(zip(*(run.turns for run in bench.runs if run.turns), strict=True), 1):
        cells = (cell for cost in costs for cell in (f"{cost.seconds:.2f}", f"{cost.read:.0f}", f"{cost.pictures:.0f}"))
        turns.add_row(str(number), *cells)
    turns.caption = "seconds, prompt tokens read anew, pictures encoded, per pair"
    yield turns


def _limits(bench: EngineBench) -> str:
    ceilings = bench.ceilings
    return f"{ceilings.bytes_per_s / GB:.0f} GB/s and {ceilings.flops_per_s / 1e12:.3g} TFLOP/s"


def _told(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
