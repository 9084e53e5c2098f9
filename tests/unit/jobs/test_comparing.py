"""Agreement follows every change: of an answer, a judgement, a config."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from backend.agreement.compare import Comparison
from backend.jobs.comparing import Comparing
from backend.label_studio.layout import parse_layout
from backend.ledger import Agreement, Annotation, Ledger, Project
from backend.types import Dimension, PairwiseTask, Preference
from tests.unit.jobs.desk import CONFIG, START, VERSION, judged, key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.jobs.desk import Desk

LAYOUT = parse_layout(CONFIG)
ALL_VIDEO_1 = dict.fromkeys(Dimension, Preference.VIDEO_1)


def answer(number: int, task: int = 1, labels: dict[Dimension, Preference] = ALL_VIDEO_1, **changes: Any) -> Annotation:  # noqa: ANN401  # fields of all kinds
    result = [
        {"from_name": control.name, "type": "choices", "value": {"choices": [control.values[labels[dimension]]]}}
        for dimension, control in LAYOUT.choices.items()
        if dimension in labels
    ]
    plain = Annotation(number, 1, task, 3, result, None, False, 12.5, START, START, "webhook")
    return replace(plain, **changes)


@pytest.fixture
def ledger(desk: Desk) -> Ledger:
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))
    return desk.ledger


def compare_all(ledger: Ledger) -> None:
    while Comparing(ledger).run():
        pass


def told(ledger: Ledger) -> dict[bool, dict[Dimension, dict[Comparison, int]]]:
    compare_all(ledger)
    return {one.shown: {d: dict(counts) for d, counts in one.counts.items()} for one in ledger.agreement()}


def test_each_dimension_is_counted_by_how_the_answer_stands_to_the_judgement(ledger: Ledger) -> None:
    ledger.record(judged(1))
    differs = {Dimension.TA: Preference.VIDEO_2, Dimension.MQ: Preference.TIE, Dimension.VQ: Preference.VIDEO_1}
    ledger.remember_annotation(answer(10), answer(11, labels=differs, completed_by=4))
    counts = told(ledger)[True]
    assert counts[Dimension.TA] == {Comparison.AGREE: 1, Comparison.FLIP: 1}
    assert counts[Dimension.MQ] == {Comparison.AGREE: 1, Comparison.HUMAN_TIE: 1}
    assert counts[Dimension.VQ] == {Comparison.AGREE: 2}
    assert counts[Dimension.OA] == {Comparison.AGREE: 1, Comparison.MISSING: 1}
    [one] = ledger.agreement()
    assert (one.project, one.model_version, one.answers) == (1, VERSION, 2)


def test_an_answer_that_changes_is_counted_once_as_it_is_now(ledger: Ledger) -> None:
    ledger.record(judged(1))
    ledger.remember_annotation(answer(10))
    assert told(ledger)[True][Dimension.TA] == {Comparison.AGREE: 1}
    ledger.remember_annotation(answer(10, labels=dict.fromkeys(Dimension, Preference.TIE)))
    assert told(ledger)[True][Dimension.TA] == {Comparison.HUMAN_TIE: 1}
    ledger.mark_annotations_deleted([10])
    assert told(ledger) == {}


def test_a_judgement_that_comes_after_the_answer_is_compared_too(ledger: Ledger) -> None:
    ledger.remember_annotation(answer(10))
    assert told(ledger) == {}
    ledger.record(judged(1))
    assert told(ledger)[True][Dimension.OA] == {Comparison.AGREE: 1}


@pytest.mark.parametrize(
    "changes", [{"was_cancelled": True}, {"deleted": True}, {"parent_prediction": 42, "lead_time": None}]
)
def test_what_nobody_answered_does_not_count(ledger: Ledger, changes: dict[str, Any]) -> None:
    ledger.record(judged(1))
    ledger.mark_all_published({key(1): 42})
    ledger.remember_annotation(answer(10, **changes))
    assert told(ledger) == {}


def test_an_answer_counts_for_the_version_that_the_person_was_given(ledger: Ledger) -> None:
    for version, prediction in (("older-1", 41), (VERSION, 42)):
        outcome = judged(1)
        ledger.record(replace(outcome, order=replace(outcome.order, model_version=version)))
        ledger.mark_all_published({replace(key(1), model_version=version): prediction})
    ledger.remember_annotation(answer(10, parent_prediction=42))
    compare_all(ledger)
    assert [one.model_version for one in ledger.agreement()] == [VERSION]


def test_of_one_persons_answers_to_a_task_only_the_latest_counts(ledger: Ledger) -> None:
    ties = dict.fromkeys(Dimension, Preference.TIE)
    later = START + timedelta(minutes=1)
    for task in (1, 2):
        ledger.record(judged(task))
    ledger.remember_annotation(answer(10, labels=ties, updated_at=later), answer(11), answer(12, 2))
    ledger.remember_annotation(answer(13, was_cancelled=True, updated_at=later + timedelta(minutes=1)))
    assert told(ledger)[True][Dimension.TA] == {Comparison.HUMAN_TIE: 1, Comparison.AGREE: 1}
    ledger.remember_annotation(answer(14, 2, completed_by=None), answer(15, 2, completed_by=None))
    assert told(ledger)[True][Dimension.TA] == {Comparison.HUMAN_TIE: 1, Comparison.AGREE: 3}


def test_an_answer_without_a_label_replaces_none_that_has_some(ledger: Ledger) -> None:
    ledger.record(judged(1))
    ledger.remember_annotation(answer(10), answer(11, labels={}, updated_at=START + timedelta(minutes=1)))
    assert told(ledger)[True][Dimension.TA] == {Comparison.AGREE: 1}


def test_an_answer_to_other_videos_replaces_none_to_these(desk: Desk, ledger: Ledger) -> None:
    ledger.record(judged(1))
    ledger.mark_all_published({key(1): 42})
    ledger.remember_annotation(answer(10, parent_prediction=42))
    desk.now[0] += timedelta(hours=1)
    ledger.enter([PairwiseTask(1, 1, "/others.mp4", "/b.mp4", "a dog runs")], "tiny-2")
    ledger.remember_annotation(answer(11, updated_at=START + timedelta(hours=2)))
    assert told(ledger)[True][Dimension.TA] == {Comparison.AGREE: 1}


def test_a_judgement_that_nobody_can_read_hides_no_other(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for task in (1, 2):
        ledger.record(judged(task))
        ledger.remember_annotation(answer(task, task))
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    with engine.begin() as db:
        db.execute(text("UPDATE judgement SET body = json_set(body, '$.stop', 'of another release') WHERE work_id = 1"))
    engine.dispose()
    assert told(ledger)[True][Dimension.TA] == {Comparison.AGREE: 1}
    assert "judgement unreadable project=1 task=1 version=tiny-1" in caplog.text
    assert len(list(ledger.answered(1))) == 2


def test_the_blind_slice_is_counted_apart(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/blind.db", blind_share=0.5)
    ledger.remember_project(Project(1, "Dogs", CONFIG))
    for task in range(1, 41):
        ledger.record(judged(task))
        ledger.remember_annotation(answer(100 + task, task))
    compare_all(ledger)
    kinds = {one.shown: one.answers for one in ledger.agreement()}
    assert set(kinds) == {True, False}
    assert sum(kinds.values()) == 40
    ledger.close()


def test_where_the_config_never_shows_the_model_s_opinion_all_answers_are_blind(ledger: Ledger) -> None:
    ledger.record(judged(1))
    ledger.remember_project(Project(1, "Dogs", CONFIG.replace("<View>", '<View className="vrthinker-blind">', 1)))
    ledger.remember_annotation(answer(10))
    assert set(told(ledger)) == {False}


def test_a_repaired_config_has_its_answers_compared_after_all(ledger: Ledger) -> None:
    ledger.remember_project(Project(1, "Dogs", "<View/>"))
    ledger.record(judged(1))
    ledger.remember_annotation(answer(10))
    assert told(ledger) == {}
    assert ledger.uncompared(1) == 0
    ledger.remember_project(Project(1, "Dogs", CONFIG))
    assert told(ledger)[True][Dimension.TA] == {Comparison.AGREE: 1}


def test_a_failed_comparison_leaves_its_tasks_to_be_compared(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record(judged(1))
    ledger.remember_annotation(answer(10))
    with monkeypatch.context() as broken:
        broken.setattr("backend.jobs.comparing.labels_of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Comparing(ledger).run()
    assert ledger.uncompared() == ledger.uncompared(1) == 1
    assert told(ledger)[True][Dimension.TA] == {Comparison.AGREE: 1}


def test_more_tasks_than_a_batch_are_compared_until_it_is_stopped(ledger: Ledger) -> None:
    for task in range(1, 251):
        ledger.remember_annotation(answer(task, task))
        ledger.record(judged(task))
    stopped = Event()

    class Stopping(Comparing):
        def run(self) -> int:
            count = super().run()
            if not count:
                stopped.set()
            return count

    Stopping(ledger).run_until(stopped, every_s=0.01)
    assert [one.answers for one in ledger.agreement()] == [250]


def test_a_forgotten_project_has_no_agreement(ledger: Ledger) -> None:
    ledger.record(judged(1))
    ledger.remember_annotation(answer(10))
    compare_all(ledger)
    ledger.forget(1)
    assert ledger.agreement() == []


@pytest.fixture
def older(tmp_path: Path) -> str:
    """A ledger with an answer, as the program wrote it before there were comparisons and pauses."""
    url = f"sqlite:///{tmp_path}/older.db"
    ledger = Ledger.open(url)
    ledger.remember_project(Project(1, "Dogs", CONFIG))
    ledger.record(judged(1))
    ledger.remember_annotation(answer(10))
    ledger.close()
    engine = create_engine(url)
    with engine.begin() as db:
        for table in ("comparison", "uncompared", "control", "data_change"):
            db.execute(text(f"DROP TABLE {table}"))
        db.execute(text("DROP INDEX work_failed"))
    engine.dispose()
    return url


def test_an_older_ledger_is_taken_as_it_is_and_its_answers_are_compared(older: str) -> None:
    ledger = Ledger.open(older)
    assert told(ledger)[True][Dimension.TA] == {Comparison.AGREE: 1}
    assert not ledger.paused().everything
    [one] = ledger.agreement()
    assert isinstance(one, Agreement)
    ledger.close()
