"""The durable record of what was asked, judged, published and answered by people."""

from backend.ledger.ledger import Ledger
from backend.ledger.records import (
    Annotation,
    Answered,
    Automatic,
    Claim,
    Effort,
    Entry,
    FailureGroup,
    Key,
    Paused,
    Project,
    State,
    Sync,
    VersionCounts,
)

__all__ = [
    "Annotation",
    "Answered",
    "Automatic",
    "Claim",
    "Effort",
    "Entry",
    "FailureGroup",
    "Key",
    "Ledger",
    "Paused",
    "Project",
    "State",
    "Sync",
    "VersionCounts",
]
