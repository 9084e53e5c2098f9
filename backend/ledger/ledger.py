"""The ledger: one class over its rooms, because every caller holds just one ledger."""

from __future__ import annotations

from backend.ledger.comparisons import Comparisons
from backend.ledger.control import Control
from backend.ledger.delivery import Delivery
from backend.ledger.exports import Exports
from backend.ledger.summary import Summary
from backend.ledger.truth import Truth
from backend.ledger.work import Work


class Ledger(Work, Delivery, Truth, Summary, Control, Comparisons, Exports):
    """The durable record, at a database URL (`Ledger.open`); safe to share between threads.

    Work enters it before anything is enqueued, so the row dedupes, and whatever Redis or a worker loses is found again.
    """
