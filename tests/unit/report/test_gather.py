"""Which answers count, beside which judgement, and what the person knew of it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from backend.export.reading import read_records
from backend.label_studio.layout import parse_layout
from backend.report.exposure import Exposure
from backend.report.gather import Left, Wanted, gather
from backend.types import Dimension
from tests.unit.label_studio.configs import BLIND
from tests.unit.report.project import LAYOUT, ONE, START, TWO, SmallProject
from tests.unit.requests import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from backend.report.gather import Gathered


def gathered(project: SmallProject, *versions: str) -> Gathered:
    return gather(project.ledger, 7, LAYOUT, Wanted(versions))


def exposures(found: Gathered) -> list[tuple[str, str]]:
    """Version and exposure of every comparison."""
    names = list(found.versions.numbers)
    rows = zip(found.comparisons.version, found.comparisons.exposure, strict=True)
    return [(str(names[version]), list(Exposure)[exposure].value) for version, exposure in rows]


def test_an_answer_that_began_with_the_prediction_was_shown_it(project: SmallProject) -> None:
    prediction = project.judged(1, "1111")
    project.answered(1, "1212", prediction)
    found = gathered(project)
    assert exposures(found) == [(ONE, "shown")]
    assert [found.comparisons.model[d][0] for d in Dimension] == [1, 1, 1, 1]
    assert [found.answers.human[d][0] for d in Dimension] == [1, 2, 1, 2]


def test_an_answer_without_a_prediction_is_unlinked(project: SmallProject) -> None:
    project.judged(1, "1111")
    project.answered(1, "1111")
    assert exposures(gathered(project)) == [(ONE, "unlinked")]


def test_what_was_begun_with_one_version_is_unlinked_for_the_other(project: SmallProject) -> None:
    project.judged(1, "1111", ONE)
    second = project.judged(1, "2222", TWO)
    project.answered(1, "2222", second)
    found = gathered(project)
    assert exposures(found) == [(ONE, "unlinked"), (TWO, "shown")]
    assert list(found.answers.exposure) == [0], "the person saw a judgement"
    assert exposures(gathered(project, ONE)) == [(ONE, "unlinked")]


def test_an_answer_to_other_videos_is_in_no_figure(project: SmallProject) -> None:
    project.judged(1, "1111")
    project.answered(1, "2222", days=-1)
    project.judged(1, "1111", video="/swapped/{}.mp4")
    found = gathered(project)
    assert exposures(found) == []
    assert found.left[Left.OTHER_DATA] == 1
    project.answered(1, "1111", person=2, days=1)
    assert exposures(gathered(project)) == [(ONE, "unlinked")]


def test_an_answer_to_other_videos_replaces_none_of_the_same_person_to_these(project: SmallProject) -> None:
    prediction = project.judged(1, "1111")
    project.answered(1, "1111", prediction, days=-2)
    project.judged(1, "2222", TWO, video="/others/{}.mp4", published=False)
    project.answered(1, "2222", days=-1)
    found = gathered(project, ONE)
    assert exposures(found) == [(ONE, "shown")]
    assert (found.left[Left.REPEATED], found.left[Left.OTHER_DATA]) == (0, 1)


def test_an_answer_that_was_changed_after_the_task_is_to_what_the_task_has_since(project: SmallProject) -> None:
    prediction = project.judged(1, "1111", ONE)
    project.answered(1, "1111", prediction, changed=3)
    project.answered(1, "1111", prediction, person=2)
    project.ledger._clock = lambda: START + timedelta(days=1)
    project.judged(1, "2222", TWO, video="/others/{}.mp4")
    found = gathered(project)
    assert exposures(found) == [(ONE, "shown"), (TWO, "unlinked")]
    assert dict(zip(found.answers.annotator, found.answers.exposure, strict=True)) == {0: 0, 1: 2}
    project.answered(1, "1111", prediction, person=3, changed=3)
    project.answered(1, "1111", person=4, days=3)
    assert Counter(exposures(gathered(project))) == {(ONE, "shown"): 1, (TWO, "unlinked"): 3}
    assert gathered(project, ONE).unjudged == 3


def test_an_answer_is_to_the_row_it_began_with_though_label_studios_clock_is_behind(project: SmallProject) -> None:
    project.judged(1, "1111")
    project.ledger._clock = lambda: START + timedelta(days=1)
    prediction = project.judged(1, "2222", video="/others/{}.mp4")
    project.answered(1, "2222", prediction, days=0.9)
    assert exposures(gathered(project)) == [(ONE, "shown")]


@pytest.mark.parametrize("config", [CONFIG, BLIND], ids=["shows the model", "hides the model"])
@pytest.mark.parametrize("judgement", ["hidden", "waiting", "published"])
@pytest.mark.parametrize("others", ["none", "waiting", "published"])
@pytest.mark.parametrize("began", ["empty", "with the prediction", "with one that is gone"])
def test_an_export_says_of_an_answer_what_a_report_says(
    tmp_path: Path, config: str, judgement: str, others: str, began: str
) -> None:
    project = SmallProject(tmp_path, config=config)
    project.ledger._blind_share = float(judgement == "hidden")
    prediction = project.judged(1, "1111", ONE, published=judgement == "published")
    project.ledger._blind_share = 0.0
    if others != "none":
        project.judged(1, "2222", TWO, published=others == "published")
    project.answered(1, "1111", {"empty": None, "with the prediction": prediction}.get(began, 999))
    layout = parse_layout(config)
    [(_, reported)] = exposures(gather(project.ledger, 7, layout, Wanted([ONE])))
    [record] = read_records(project.ledger.answered(7, ONE), layout, str, Counter())
    assert record.exposure.value == {"unlinked": "unknown"}.get(reported, reported)
    project.ledger.close()


def test_what_the_config_hides_is_blind_in_an_export_before_the_publisher_came_by(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, config=BLIND)
    project.judged(1, "1111", published=False)
    project.answered(1, "1111")
    [record] = read_records(project.ledger.answered(7), parse_layout(BLIND), str, Counter())
    assert record.exposure.value == "blind"
    project.ledger.close()


def test_the_blind_slice_is_blind(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.ledger._blind_share = 1.0
    project.judged(1, "1111", published=False)
    project.answered(1, "1111")
    assert exposures(gathered(project)) == [(ONE, "blind")]


def test_who_may_have_seen_another_versions_prediction_is_not_blind(project: SmallProject) -> None:
    first = project.judged(1, "1111", ONE)
    project.judged(2, "1111", ONE, published=False)
    project.ledger._blind_share = 1.0  # raised later
    for task in (1, 2):
        project.judged(task, "2222", TWO, published=False)
    project.answered(1, "1111", first)
    project.answered(1, "1111", person=2)
    project.answered(1, "1111", person=3, days=-1)
    project.answered(2, "1111")
    found = [kind for version, kind in exposures(gathered(project)) if version == TWO]
    assert found == ["blind", "unlinked", "unlinked", "blind"], "the earliest answered before anything was published"


def test_a_config_that_hides_the_model_now_does_not_make_earlier_answers_blind(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, config=BLIND)
    prediction = project.judged(1, "1111", ONE)
    project.judged(1, "1111", TWO, published=False)
    project.answered(1, "1111", prediction)
    project.answered(1, "1111", person=2)
    project.answered(1, "1111", 999, person=3)
    project.answered(2, "1111", 998)
    groups = [(v.model_version, g.exposure, g.answers) for v in project.report().versions for g in v.groups]
    assert sorted(groups) == [
        (ONE, Exposure.SHOWN, 1),
        (ONE, Exposure.UNLINKED, 2),
        (TWO, Exposure.UNLINKED, 3),
    ]


def test_a_project_whose_config_hides_the_model_is_blind(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, config=BLIND)
    project.judged(1, "1111", published=False)
    project.answered(1, "1111")
    assert [group.exposure for group in project.report().versions[0].groups] == [Exposure.BLIND]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"deleted": True}, Left.DELETED),
        ({"cancelled": True}, Left.SKIPPED),
        ({"prediction": 10, "lead_time": None}, Left.BULK),
        ({"labels": "????"}, Left.UNREADABLE),
        ({"labels": "----"}, Left.UNREADABLE),
        ({"days": -3}, Left.OLDER),
    ],
)
def test_an_answer_that_does_not_count_is_listed_as_what_it_is(
    project: SmallProject, answer: dict[str, object], reason: Left
) -> None:
    project.judged(1, "1111")
    project.answered(1, **{"labels": "1111", **answer})  # type: ignore[arg-type]  # a table of keywords
    found = gather(project.ledger, 7, LAYOUT, Wanted(since=START - timedelta(days=1)))
    assert dict(found.left) == {reason: 1}
    assert len(found.answers.task) == 0


def test_an_answer_changed_since_then_counts(project: SmallProject) -> None:
    project.answered(1, "1111", days=-3, changed=1)
    found = gather(project.ledger, 7, LAYOUT, Wanted(since=START))
    assert len(found.answers.task) == 1


def test_of_a_persons_answers_to_one_task_the_last_counts(project: SmallProject) -> None:
    project.judged(1, "1111")
    project.answered(1, "2222", days=0, changed=5)
    project.answered(1, "1111", days=1)
    project.answered(1, "0000", person=2)
    project.answered(1, "0000", person=None)
    project.answered(1, "0000", person=None)
    found = gathered(project)
    assert found.left[Left.REPEATED] == 1
    assert sorted(found.answers.human[Dimension.TA]) == [0, 0, 0, 2], "nobody knows whether unknown people are one"


def test_an_answer_may_lack_dimensions_and_hold_labels_from_elsewhere(project: SmallProject) -> None:
    project.judged(1, "111-")
    project.answered(1, "1?-1")
    found = gathered(project)
    assert [found.answers.human[d][0] for d in Dimension] == [1, -1, -1, 1]
    assert [found.comparisons.model[d][0] for d in Dimension] == [1, 1, 1, -1]
    assert list(found.problems) == ["MQ: 'Neither' is not one of its choices"]


def test_answers_and_judgements_meet_whatever_tasks_they_are_of(project: SmallProject) -> None:
    for task in (2, 3, 5):
        project.judged(task, "1111")
    for task in (1, 3, 4, 6):
        project.answered(task, "1111")
    found = gathered(project)
    assert list(found.answers.task) == [1, 3, 4, 6]
    assert list(found.comparisons.answer) == [1]
    assert found.unjudged == 3
    assert found.verdicts[ONE].tasks == 3


def test_swap_and_position_are_counted_over_all_judged_tasks(project: SmallProject) -> None:
    project.judged(1, "1120", order_dependent=False)
    project.judged(2, "1220", order_dependent=True)
    project.judged(3, "2222")
    version = project.report().versions[0]
    assert (version.swap[Dimension.OA].count, version.swap[Dimension.OA].of) == (1, 2)
    assert (version.position[Dimension.TA].count, version.position[Dimension.TA].of) == (2, 3)
    assert (version.position[Dimension.OA].count, version.position[Dimension.OA].of) == (0, 1)


@pytest.mark.parametrize(
    ("video", "source"),
    [
        ("/data/local-files/?d=videos/atlas/{}.mp4", "videos/atlas"),
        ("/data/upload/7/{}.mp4", "/data/upload/7"),
        ("s3://bucket/run 3/{}.mp4", "s3://bucket/run 3"),
        ("https://user:secret@cdn.example.com/atlas/{}.mp4?sig=secret", "https://cdn.example.com/atlas"),
        ("{}.mp4", "no folder"),
    ],
)
def test_a_source_is_the_videos_folder_without_secrets(project: SmallProject, video: str, source: str) -> None:
    project.judged(1, "1111", video=video)
    project.answered(1, "1111")
    assert list(gathered(project).sources.numbers) == [source]
