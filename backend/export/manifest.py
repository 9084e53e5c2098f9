"""What a dataset says about itself: counts, options and checksums; nothing of the moment at which it was made."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from backend.agreement.compare import Comparison
from backend.export.folder import KIND, Written
from backend.export.record import Exposure
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.export.conversation import TraceSource, Unfit
    from backend.export.formats import Unaligned
    from backend.export.reading import LeftOut
    from backend.export.record import Record

FORMAT = 1
NO_PICTURES = "no_pictures"


@dataclass(slots=True)
class Tallies:
    """Counts that grow with every record.

    `comparisons` is by exposure, then dimension, because agreement with an answer that was on the screen is another
    thing than agreement without; `unfit` counts by reason the records that make no training example, `unaligned` those
    that lack a row for VideoAlign where that was asked for.
    """

    records: int = 0
    tasks: int = 0
    disagreements: int = 0
    pairs: int = 0
    problems: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    exposures: Counter[Exposure] = field(default_factory=Counter)
    comparisons: Counter[tuple[Exposure, Dimension, Comparison]] = field(default_factory=Counter)
    trace_sources: Counter[TraceSource] = field(default_factory=Counter)
    unfit: Counter[str] = field(default_factory=Counter)
    unaligned: Counter[Unaligned] = field(default_factory=Counter)
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    annotators: set[str] = field(default_factory=set)
    model_versions: set[str] = field(default_factory=set)
    _task: int | None = None

    def count(self, record: Record) -> None:
        """One more record; they come by task."""
        self.records += 1
        self.tasks += record.task != self._task
        self._task = record.task
        self.disagreements += record.disagrees
        self.problems += bool(record.problems)
        self.splits[record.split] += 1
        self.exposures[record.exposure] += 1
        for dimension, opinion in record.opinions.items():
            self.comparisons[record.exposure, dimension, opinion.comparison] += 1
        self.annotators.add(record.annotator)
        self.model_versions.add(record.model_version)

    def example(self, source: TraceSource, *, pair: bool) -> None:
        """The last record makes a training example; `pair` says that two different replies stand in it."""
        self.trace_sources[source] += 1
        self.pairs += pair

    def no_example(self, reason: Unfit | str) -> None:
        """The last record makes none."""
        self.unfit[str(reason)] += 1

    def as_json(self) -> dict[str, Any]:
        """All counts, zeros of a known kind included where they tell something."""
        return {
            "records": self.records,
            "tasks": self.tasks,
            "annotators": len(self.annotators),
            "disagreements": self.disagreements,
            "records_with_problems": self.problems,
            "splits": dict(sorted(self.splits.items())),
            "exposure": {exposure.value: self._agreement(exposure) for exposure in Exposure},
            "examples": {
                "total": self.trace_sources.total(),
                "with_two_replies": self.pairs,
                "trace_source": {str(source): count for source, count in sorted(self.trace_sources.items())},
                "none_because": dict(sorted(self.unfit.items())),
            },
            "no_video_align_row": {str(reason): count for reason, count in sorted(self.unaligned.items())},
            "left_out": {str(reason): count for reason, count in sorted(self.left_out.items())},
        }

    def _agreement(self, exposure: Exposure) -> dict[str, Any]:
        counts = {
            dimension.value: {kind.value: self.comparisons[exposure, dimension, kind] for kind in Comparison}
            for dimension in Dimension
        }
        return {"records": self.exposures[exposure], **(counts if self.exposures[exposure] else {})}


@dataclass(frozen=True, slots=True)
class Manifest:
    """`manifest.json`. `files` are all other files of the dataset by name."""

    program: str
    project: int
    title: str
    options: Mapping[str, Any]
    model_versions: tuple[str, ...]
    counts: Mapping[str, Any]
    files: Mapping[str, Written]

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "program": self.program,
            "project": self.project,
            "title": self.title,
            "options": dict(self.options),
            "model_versions": list(self.model_versions),
            "counts": dict(self.counts),
            "files": {name: asdict(written) for name, written in sorted(self.files.items())},
        }
