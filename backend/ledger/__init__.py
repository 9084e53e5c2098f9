"""The durable record of what was asked, judged, published and answered by people."""

from backend.ledger.changes import same_data
from backend.ledger.ledger import Ledger
from backend.ledger.records import (
    Agreement,
    Annotation,
    Answered,
    Automatic,
    Claim,
    Compared,
    Effort,
    Entry,
    ExportRequest,
    ExportState,
    FailureGroup,
    Judged,
    Key,
    Paused,
    Project,
    Scored,
    State,
    Sync,
    VersionCounts,
)

__all__ = [
    "Agreement",
    "Annotation",
    "Answered",
    "Automatic",
    "Claim",
    "Compared",
    "Effort",
    "Entry",
    "ExportRequest",
    "ExportState",
    "FailureGroup",
    "Judged",
    "Key",
    "Ledger",
    "Paused",
    "Project",
    "Scored",
    "State",
    "Sync",
    "VersionCounts",
    "same_data",
]
