"""Which records an export takes: every condition has to hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from backend.agreement.compare import Comparison
from backend.types import Dimension

if TYPE_CHECKING:
    from backend.export.record import Opinion, Record

Only: TypeAlias = Literal["disagreements", "agreements", "all"]
Exported: TypeAlias = "Mapping[tuple[int, str], datetime]"
"""Answers in earlier exports: (annotation, model version) -> the change that was exported."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to take; the defaults take everything.

    `only` and `min_confidence` look at `dimensions` alone: one that meets both is enough, but for `agreements` none of
    them may differ. `annotators` are names as they stand in the records. `since` is compared with Label Studio's own
    time of the last change. `exported` leaves out what an earlier export holds unchanged.
    """

    only: Only = "all"
    dimensions: tuple[Dimension, ...] = tuple(Dimension)
    annotators: tuple[str, ...] = ()
    since: datetime | None = None
    model_version: str | None = None
    min_confidence: float | None = None
    exported: Exported = field(default_factory=dict, repr=False)

    def takes(self, record: Record) -> bool:
        """Whether this record is wanted."""
        return self._fits(record) and self._agrees_as_wanted(record)

    def _fits(self, record: Record) -> bool:
        return (
            (not self.annotators or record.annotator in self.annotators)
            and (self.since is None or record.updated_at >= self.since)
            and self.model_version in {None, record.model_version}
            and self.exported.get((record.annotation, record.model_version)) != record.updated_at
        )

    def _agrees_as_wanted(self, record: Record) -> bool:
        if self.only == "all" and self.min_confidence is None and len(self.dimensions) == len(Dimension):
            return True
        opinions = [record.opinions[dimension] for dimension in self.dimensions]
        if self.only == "agreements" and any(differs(opinion) for opinion in opinions):
            return False
        return any(self._counts(opinion) for opinion in opinions)

    def _counts(self, opinion: Opinion) -> bool:
        if opinion.comparison is Comparison.MISSING or (self.only == "disagreements" and not differs(opinion)):
            return False
        known = opinion.confidence
        return self.min_confidence is None or (known is not None and known >= self.min_confidence)


def differs(opinion: Opinion) -> bool:
    """Whether both gave a label, and not the same."""
    return opinion.comparison not in {Comparison.AGREE, Comparison.MISSING}
