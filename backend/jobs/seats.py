"""How many conversations may go on at once: those that hold a seat. Whoever waits for one has its videos ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

POLL_S = 0.5  # a waiting thread wakes so often, to notice a time-out that was raised in it


class Seats:
    """A context manager for any number of threads, which lets so many in at once."""

    def __init__(self, count: int) -> None:
        """`count` is at least 1."""
        self._free = threading.Semaphore(count)

    def __enter__(self) -> None:
        while not self._free.acquire(timeout=POLL_S):
            pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free.release()
