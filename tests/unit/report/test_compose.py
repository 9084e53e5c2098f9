"""A whole report, figure by figure, on projects small enough to count by hand."""

from __future__ import annotations

import json
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.agreement.compare import Comparison
from backend.errors import SettingsError
from backend.export.record import pseudonym
from backend.report.compose import report_on
from backend.report.contest import Seen
from backend.report.exposure import Exposure
from backend.report.gather import Wanted
from backend.report.page import page_of
from backend.report.table import csv_of
from backend.types import Dimension, Preference
from backend.wire import to_json
from tests.unit.report.project import NOW, ONE, START, TWO, SmallProject

if TYPE_CHECKING:
    pass

TA, OA = Dimension.TA, Dimension.OA
WORD = st.text("012-", min_size=4, max_size=4)


def test_agreement_is_counted_per_dimension_and_exposure(project: SmallProject) -> None:
    shown = [project.judged(task, "1100") for task in (1, 2, 3)]
    for task, labels in enumerate(("1201", "1000", "2-00"), 1):
        project.answered(task, labels, shown[task - 1])
    project.judged(4, "1111")
    project.answered(4, "2222")
    one, two = project.report().versions[0].groups
    assert (one.exposure, one.answers, one.tasks) == (Exposure.SHOWN, 3, 3)
    assert (two.exposure, two.answers) == (Exposure.UNLINKED, 1)
    ta = one.dimensions[TA]
    assert (ta.with_ties.count, ta.with_ties.of) == (2, 3)
    assert ta.confusion == [[0, 0, 0], [0, 2, 1], [0, 0, 0]]
    mq = one.dimensions[Dimension.MQ]
    assert (mq.compared, mq.missing) == (2, 1)
    assert mq.comparisons == {
        Comparison.AGREE: 0,
        Comparison.FLIP: 1,
        Comparison.MODEL_TIE: 0,
        Comparison.HUMAN_TIE: 1,
        Comparison.MISSING: 1,
    }
    assert (mq.without_ties.count, mq.without_ties.of) == (0, 1), "the person's tie is not in it"
    oa = one.dimensions[OA]
    assert (oa.with_ties.count, oa.without_ties.count, oa.without_ties.of) == (2, 0, 1), "a model's tie is wrong there"
    assert two.dimensions[TA].comparisons[Comparison.FLIP] == 1


def test_calibration_and_margins_come_from_the_odds(project: SmallProject) -> None:
    for task, human in enumerate("1121", 1):
        project.judged(task, "1111", confidence=0.8)
        project.answered(task, human * 4)
    [group] = project.report().versions[0].groups
    found = group.dimensions[TA]
    assert found.calibration.ece == pytest.approx(0.05)
    assert (found.scored.without_ties.count, found.scored.without_ties.of) == (3, 4)


def test_agreement_stands_apart_by_annotator_source_and_time(project: SmallProject) -> None:
    for task, person, human, day in ((1, 5, "1111", 0), (2, 9, "2222", 1), (3, 9, "1111", 1)):
        project.judged(task, "1111", video=f"/data/upload/{task % 2}/{{}}.mp4")
        project.answered(task, human, person=person, days=day)
    version = project.report().versions[0]
    names = {person: pseudonym(person, 7, project.ledger.pseudonym_salt(7)) for person in (5, 9)}
    table = {
        name: [(part.name, part.dimensions[OA].count, part.dimensions[OA].of) for part in parts.rows]
        for name, parts in (("who", version.annotators), ("where", version.sources), ("when", version.periods))
    }
    assert table == {
        "who": [(names[9], 1, 2), (names[5], 1, 1)],
        "where": [("/data/upload/1", 2, 2), ("/data/upload/0", 0, 1)],
        "when": [("2026-05-04", 1, 1), ("2026-05-05", 1, 2)],
    }


@pytest.mark.parametrize(
    ("days", "period", "first"),
    [((0, 30), "day", "2026-05-04"), ((3, 40), "week", "2026-05-04"), ((0, 700), "month", "2026-05-01")],
)
def test_time_is_cut_into_as_few_periods_as_a_chart_can_show(
    project: SmallProject, days: tuple[int, int], period: str, first: str
) -> None:
    for task, day in enumerate(days, 1):
        project.judged(task, "1111")
        project.answered(task, "1111", days=day)
    report = project.report()
    assert report.period == period
    assert report.versions[0].periods.rows[0].name == first
    assert report.counts.future == (days[1] > 30), "a clock is wrong: told, and counted"


def test_people_agree_with_each_other_within_one_exposure(project: SmallProject) -> None:
    project.judged(1, "1111")
    for task, labels in ((1, ("11-1", "1121")), (2, ("2211", "2211")), (3, ("1011", "2011")), (4, ("1111",))):
        for person, word in enumerate(labels):
            project.answered(task, word, person=person)
    [people] = project.report().people
    ta = people.alpha[TA]
    assert (ta.tasks, ta.answers) == (3, 6)
    assert ta.estimate.value == pytest.approx(0.444, abs=0.0005)
    assert people.alpha[Dimension.VQ].tasks == 2, "a missing label pairs with nothing"
    assert (people.position[TA].count, people.position[TA].of) == (4, 7)


def test_people_who_answered_different_videos_of_one_task_are_no_pair(project: SmallProject) -> None:
    project.judged(1, "1111", ONE)
    for person in (1, 2):
        project.answered(1, "1111", person=person)
    project.ledger._clock = lambda: START + timedelta(days=1)
    project.judged(1, "2222", TWO, video="/others/{}.mp4")
    for person in (3, 4):
        project.answered(1, "2222", person=person, days=2)
    project.answered(2, "1111", person=5)
    [people] = project.report().people
    alpha = people.alpha[TA]
    assert (alpha.tasks, alpha.answers, alpha.estimate.value) == (2, 4, 1.0)


def test_two_versions_are_compared_on_the_same_answers(project: SmallProject) -> None:
    for task in range(1, 5):
        first = project.judged(task, "1111", ONE)
        project.judged(task, "1222", TWO)
        project.answered(task, "1122", first if task < 4 else None)
    project.judged(5, "1111", ONE)
    project.answered(5, "1111")
    report = project.report()
    assert [version.model_version for version in report.versions] == [ONE, TWO], "the one with more answers first"
    seen, unknown = report.contests
    assert (seen.first, seen.second, seen.seen, seen.answers) == (ONE, TWO, Seen.FIRST, 3)
    assert (unknown.seen, unknown.answers) == (Seen.UNLINKED, 1)
    cells = {d: (p.both, p.first_only, p.second_only, p.neither) for d, p in seen.dimensions.items()}
    assert list(cells.values()) == [(3, 0, 0, 0), (0, 3, 0, 0), (0, 0, 3, 0), (0, 0, 3, 0)]
    assert seen.dimensions[OA].p_value == pytest.approx(0.25)


def test_the_hardest_prompts_come_first_with_their_worst_answers(project: SmallProject) -> None:
    words = {"easy": ("1111", "1111"), "hard": ("2222", "1222"), "odd": ("1112",)}
    tasks = iter(range(1, 10))
    for prompt, answers in words.items():
        for labels in answers:
            task = next(tasks)
            project.judged(task, "1111", prompt=prompt)
            project.answered(task, labels)
    hard, odd = project.report().versions[0].hardest
    assert (hard.prompt, hard.tasks) == ("hard", 2)
    assert (hard.differing[Exposure.UNLINKED].count, hard.differing[Exposure.UNLINKED].of) == (7, 8)
    assert [example.task for example in hard.examples] == [3, 4]
    assert hard.examples[0].human[OA] is Preference.VIDEO_2
    assert odd.prompt == "odd"


def test_the_worst_answer_of_a_task_stands_for_it(project: SmallProject) -> None:
    for task, answers in ((1, ("2111", "2222")), (2, ("2221",)), (3, ("2221",))):
        project.judged(task, "1111", prompt="hard")
        for person, labels in enumerate(answers, 1):
            project.answered(task, labels, person=person)
    [hard] = project.report().versions[0].hardest
    assert [(example.task, list(example.human.values()).count(Preference.VIDEO_2)) for example in hard.examples] == [
        (1, 4),
        (2, 3),
    ]


def test_prompts_that_differ_in_spacing_alone_are_one(project: SmallProject) -> None:
    for task, prompt in enumerate(("A  dog", "a dog "), 1):
        project.judged(task, "1111", prompt=prompt)
        project.answered(task, "2222")
    [hard] = project.report().versions[0].hardest
    assert hard.tasks == 2


def test_only_the_versions_asked_for_are_in_it(project: SmallProject) -> None:
    project.judged(1, "1111", ONE)
    project.judged(1, "2222", TWO)
    project.answered(1, "2222")
    report = project.report(Wanted((TWO,)))
    assert [version.model_version for version in report.versions] == [TWO]
    assert report.contests == []


@pytest.mark.parametrize(
    ("number", "wanted", "says"),
    [(8, Wanted(), "project 8"), (7, Wanted(("tiny-9",)), "tiny-9.*There are: tiny-1.contract")],
)
def test_what_does_not_exist_is_an_error_that_says_what_does(
    project: SmallProject, number: int, wanted: Wanted, says: str
) -> None:
    project.judged(1, "1111")
    with pytest.raises(SettingsError, match=says):
        report_on(project.ledger, number, wanted, made_at=NOW)


def test_annotators_have_the_names_that_exports_give_them(project: SmallProject) -> None:
    project.judged(1, "1111")
    project.answered(1, "1111", person=5)
    project.answered(1, "1111", person=None)
    salt = project.ledger.pseudonym_salt(7)
    names = {part.name for part in project.report().versions[0].annotators.rows}
    assert names == {pseudonym(5, 7, salt), "unknown"}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WORD, WORD, st.integers(1, 3), st.booleans()), max_size=6))
def test_no_project_makes_a_figure_that_is_not_a_number(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int, bool]]
) -> None:
    project = SmallProject(tmp_path_factory.mktemp("any"))
    for task, (model, human, person, sure) in enumerate(rows, 1):
        prediction = project.judged(task, model, confidence=0.6 if sure else None) if model != "----" else None
        project.answered(task, human, prediction if sure else None, person=person)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = project.report()
        page = page_of(report)
    project.ledger.close()
    json.dumps(to_json(report), allow_nan=False)
    assert "nan" not in csv_of(report).lower().replace("nano", "")
    assert "nan %" not in page
    counted = sum(group.answers for version in report.versions for group in version.groups)
    assert counted <= len(rows)
