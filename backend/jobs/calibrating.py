"""Scores that mean something: how likely a person agrees, learnt from the project's own answers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from backend.agreement.calibration import LEAST_ANSWERS, fit
from backend.jobs.looking import look_until
from backend.log import line

if TYPE_CHECKING:
    from threading import Event

    from backend.ledger import Ledger, Scored

logger = logging.getLogger(__name__)

EVERY_S = 60.0
GROWN = 10  # a tenth more answers than before are worth another fit


class Calibrating:
    """Fits a curve per project and model version, as answers come in."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tried: dict[tuple[int, str], int] = {}

    def run_until(self, stopped: Event, every_s: float = EVERY_S) -> None:
        """Fit what is worth it, and look again `every_s` seconds later."""
        look_until(stopped, every_s, self.run, "not calibrated")

    def run(self) -> int:
        """Fit where there are enough new answers; the answer is how many curves are new.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        answers: dict[tuple[int, str], int] = {}
        for one in self._ledger.agreement():
            place = (one.project, one.model_version)
            answers[place] = answers.get(place, 0) + one.answers
        new = 0
        for place, count in answers.items():
            if self._worth_it(place, count):
                new += self._fit(*place)
                self._tried[place] = count  # only now: a curve that could not be kept is fitted again
        return new

    def _worth_it(self, place: tuple[int, str], count: int) -> bool:
        tried = self._tried.get(place, 0)
        return count >= LEAST_ANSWERS and count - tried >= tried / GROWN

    def _fit(self, project: int, model_version: str) -> bool:
        found = fit([(one.score, one.agreed) for one in _telling(self._ledger.scored(project, model_version))])
        self._ledger.keep_calibration(project, model_version, found)
        if found is None:
            return False
        told = {"answers": found.answers, "brier_before": found.brier_before, "brier": found.brier}
        logger.info(line("calibrated", project=project, version=model_version, **told))
        return True


def _telling(scored: list[Scored]) -> list[Scored]:
    """The blind ones, where there are enough, else the others: people who are shown a choice tend to keep it.

    Never both together, because how many there are of each would then decide what the score means.
    """
    blind = [one for one in scored if not one.shown]
    return blind if len(blind) >= LEAST_ANSWERS else [one for one in scored if one.shown]
