"""The score in Label Studio says how likely a person agrees, once the project's own answers tell that."""

from __future__ import annotations

import random
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import pytest

from backend.agreement.calibration import LEAST_ANSWERS, Calibration, Fit
from backend.errors import LedgerError
from backend.jobs.calibrating import Calibrating
from backend.jobs.comparing import Comparing
from backend.ledger import Ledger, Project
from backend.types import Dimension, Preference, Verdict
from backend.wire import Outcome
from tests.unit.jobs.desk import CONFIG, VERSION, Desk, judged
from tests.unit.jobs.test_comparing import ALL_VIDEO_1, answer

if TYPE_CHECKING:
    from pathlib import Path

TIES = dict.fromkeys(Dimension, Preference.TIE)


def sure(task: int, confidence: float) -> Outcome:
    rest = (1 - confidence) / 2
    outcome = judged(task)
    assert outcome.judgement is not None
    verdicts = {d: Verdict(Preference.VIDEO_1, odds=(rest, confidence, rest)) for d in Dimension}
    return replace(outcome, judgement=replace(outcome.judgement, verdicts=verdicts))


def answered(ledger: Ledger, count: int, first: int = 1) -> None:
    """A model that is sure to 0.6 to 0.99, and people who agree with half of it, and more the surer it is."""
    chance = random.Random(first)  # noqa: S311  # repeatable, not secret
    ledger.remember_project(Project(1, "Dogs", CONFIG))
    for task in range(first, first + count):
        confidence = chance.uniform(0.6, 0.99)
        ledger.record(sure(task, confidence))
        agrees = chance.random() < 2 * (confidence - 0.6) + 0.1
        ledger.remember_annotation(answer(1000 + task, task, ALL_VIDEO_1 if agrees else TIES))
    while Comparing(ledger).run():
        pass


@pytest.mark.parametrize("confidence", [0.62, 0.97])
def test_until_there_are_enough_answers_the_score_is_the_models_own(desk: Desk, confidence: float) -> None:
    answered(desk.ledger, LEAST_ANSWERS - 1)
    assert Calibrating(desk.ledger).run() == 0
    desk.publish(sure(5000, confidence))
    [stored] = [one for one in desk.studio.stored.values() if one.task == 5000]
    assert stored.score == pytest.approx(confidence)


def test_predictions_carry_the_calibrated_score_and_keep_their_order(desk: Desk) -> None:
    answered(desk.ledger, 200)
    assert Calibrating(desk.ledger).run() == 1
    known = desk.ledger.calibration(1, VERSION)
    assert known is not None
    assert (known.answers, known.brier < known.brier_before) == (200, True)
    desk.publish(sure(5000, 0.65), sure(5001, 0.95))
    scores = {one.task: one.score for one in desk.studio.stored.values()}
    assert scores[5000] == pytest.approx(known.calibration.calibrated(0.65))
    assert 0 < (scores[5000] or 0) < (scores[5001] or 0) < 0.95


def test_a_curve_is_fitted_anew_only_after_a_tenth_more_answers(desk: Desk) -> None:
    calibrating = Calibrating(desk.ledger)
    answered(desk.ledger, 200)
    assert [calibrating.run(), calibrating.run()] == [1, 0]
    answered(desk.ledger, 20, first=300)
    assert calibrating.run() == 1


def test_a_curve_that_could_not_be_kept_is_fitted_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrating = Calibrating(desk.ledger)
    answered(desk.ledger, 200)
    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "keep_calibration", _full)
        with pytest.raises(LedgerError):
            calibrating.run()
    assert calibrating.run() == 1


def _full(*_told: object) -> None:
    raise LedgerError("The disk is full.")


def test_the_blind_answers_alone_decide_where_there_are_enough(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/half.db", blind_share=0.7)
    answered(ledger, 300)
    blind = sum(not one.shown for one in ledger.scored(1, VERSION))
    Calibrating(ledger).run()
    known = ledger.calibration(1, VERSION)
    assert known is not None
    assert known.answers == blind < 300
    ledger.close()


def test_blind_answers_are_never_put_together_with_others(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/some.db", blind_share=0.2)
    answered(ledger, 300)
    shown = sum(one.shown for one in ledger.scored(1, VERSION))
    Calibrating(ledger).run()
    known = ledger.calibration(1, VERSION)
    assert known is not None
    assert known.answers == shown > 200
    ledger.close()


def test_a_curve_that_no_longer_helps_is_dropped(desk: Desk) -> None:
    desk.ledger.keep_calibration(1, VERSION, Fit(Calibration(1.0, 0.0), 100, 0.2, 0.1))
    desk.ledger.keep_calibration(1, VERSION, None)
    assert desk.ledger.calibration(1, VERSION) is None


def test_a_judgement_without_odds_has_no_score(desk: Desk) -> None:
    desk.ledger.keep_calibration(1, VERSION, Fit(Calibration(1.0, 0.0), 100, 0.2, 0.1))
    desk.publish(judged(1))
    assert [one.score for one in desk.studio.stored.values()] == [None]


def test_it_looks_until_it_is_stopped(desk: Desk) -> None:
    stopped, looks = Event(), []

    class Stopping(Calibrating):
        def run(self) -> int:
            looks.append(super().run())
            stopped.set()
            return 0

    Stopping(desk.ledger).run_until(stopped, every_s=0.01)
    assert looks == [0]
