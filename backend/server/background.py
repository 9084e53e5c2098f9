"""Work that an answer must not wait for: Label Studio gives a webhook one second, inside the annotator's Submit."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from backend.errors import VRThinkerError
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Background:
    """One thread for hints, in their order; its thread starts with the first one and ends with the process.

    At most `limit` hints wait. Further ones are dropped: a hint may be lost, reconciling finds the truth.
    """

    def __init__(self, limit: int = 200) -> None:
        self._places = BoundedSemaphore(limit)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hints")

    def submit(self, name: str, work: Callable[[], object]) -> bool:
        """Do it later; False when too much waits already. `name` says in the log what failed."""
        if not self._places.acquire(blocking=False):
            logger.warning(line("hint dropped, too many wait", hint=name))
            return False
        self._thread.submit(self._run, name, work)
        return True

    def close(self) -> None:
        """Wait until everything is done."""
        self._thread.shutdown()

    def _run(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except VRThinkerError as error:
            logger.warning(line("hint lost", hint=name, message=error))
        except Exception:
            logger.exception(line("hint lost", hint=name))
        finally:
            self._places.release()
