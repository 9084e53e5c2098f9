"""A loop of the publisher outlives whatever one of its rounds meets."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest

from backend.errors import LedgerError
from backend.jobs.calibrating import Calibrating
from backend.jobs.comparing import Comparing
from backend.jobs.looking import look_until
from backend.jobs.syncing import Syncing
from backend.worker.auto import AutoIntake
from backend.worker.exporting import Exporting

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.ledger import Ledger


class Rounds:
    """A test double: raises the errors one after the other, then stops the loop."""

    def __init__(self, *errors: Exception) -> None:
        self.stopped = Event()
        self.met: list[Exception] = []
        self._errors = iter(errors)

    def look(self, *_told: object, **_named: object) -> None:
        error = next(self._errors, None)
        if error is None:
            self.stopped.set()
            return
        self.met.append(error)
        raise error


@pytest.mark.parametrize("error", [LedgerError("the disk is full"), KeyError("tasks"), ZeroDivisionError()])
def test_a_round_that_goes_wrong_is_logged_and_followed_by_the_next(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = Rounds(error, error)
    look_until(rounds.stopped, 0.001, rounds.look, "not looked")
    assert rounds.met == [error, error]
    assert caplog.text.count("not looked") == 2


def test_a_loop_that_is_stopped_does_not_look_again() -> None:
    rounds = Rounds(KeyError("never"))
    rounds.stopped.set()
    look_until(rounds.stopped, 0.001, rounds.look, "not looked")
    assert rounds.met == []


LOOPS: dict[str, tuple[str, Callable[[Ledger], Callable[[Event, float], None]]]] = {
    "syncing": ("begin_sync", lambda ledger: Syncing(ledger, None).run_until),  # type: ignore[arg-type]
    "comparing": ("uncompared", lambda ledger: Comparing(ledger).run_until),
    "calibrating": ("agreement", lambda ledger: Calibrating(ledger).run_until),
    "auto": ("automatic", lambda ledger: AutoIntake(ledger, None, None).run_until),  # type: ignore[arg-type]
    "exporting": ("begin_export", lambda ledger: Exporting(ledger, None).run_until),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_outlives_what_nobody_expected(name: str) -> None:
    method, loop = LOOPS[name]
    rounds = Rounds(KeyError("tasks"), UnicodeDecodeError("utf-8", b"", 0, 1, "no"))

    def answer(*_told: object) -> list[object]:
        rounds.look()
        return []

    class Ledger:
        """A test double of the one thing that each loop asks first; the empty answer ends the round."""

        def __getattr__(self, asked: str) -> Callable[..., object]:
            assert asked == method
            return answer

    loop(Ledger())(rounds.stopped, 0.001)  # type: ignore[arg-type]
    assert len(rounds.met) == 2
