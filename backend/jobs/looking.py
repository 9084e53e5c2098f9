"""The publisher's loops beside its jobs: whatever happens, the next round comes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from backend.errors import VRThinkerError
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

logger = logging.getLogger(__name__)


def look_until(stopped: Event, every_s: float, look: Callable[[], object], failed: str) -> None:
    """Call `look` again and again, `every_s` seconds apart; what is down now may be up next time.

    What goes wrong is logged as `failed`. An error that nobody expected does not end the loop either: no heartbeat and
    no health check would tell that its thread is gone.
    """
    while not stopped.wait(every_s):
        try:
            look()
        except VRThinkerError as error:
            logger.warning(line(failed, error=error))
        except Exception:
            logger.exception(line(failed, again_in_s=every_s))
