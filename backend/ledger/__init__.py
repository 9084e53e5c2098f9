"""The durable record of what was asked, judged, published and answered by people."""

from backend.ledger.ledger import Ledger
from backend.ledger.records import (
    Annotation,
    Answered,
    Claim,
    Effort,
    Entry,
    FailureGroup,
    Judged,
    Key,
    Project,
    State,
    Sync,
    VersionCounts,
)

__all__ = [
    "Annotation",
    "Answered",
    "Claim",
    "Effort",
    "Entry",
    "FailureGroup",
    "Judged",
    "Key",
    "Ledger",
    "Project",
    "State",
    "Sync",
    "VersionCounts",
]
