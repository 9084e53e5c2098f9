"""What becomes of each kind of answer: a record, or a reason why not."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from backend.agreement.compare import Comparison
from backend.export.reading import LeftOut, read_records
from backend.export.record import Exposure, pseudonym, split_of
from backend.export.selection import Selection
from backend.label_studio.layout import parse_layout
from backend.ledger import Key, Ledger
from backend.types import Dimension, PairwiseTask
from tests.unit.export.people import (
    MODEL,
    MQ,
    OA,
    PROJECT,
    START,
    TA,
    TIE,
    VERSION,
    VIDEO_1,
    VIDEO_2,
    VQ,
    People,
)
from tests.unit.label_studio.configs import FULL, MINIMAL

if TYPE_CHECKING:
    from pathlib import Path

    from backend.export.record import Record

OTHER = "tiny-2.vrthinker-128v1.transformers.abc123"


def records(people: People, model_version: str | None = None) -> tuple[list[Record], Counter[LeftOut]]:
    left_out: Counter[LeftOut] = Counter()
    answered = people.ledger.answered(PROJECT, model_version)
    found = read_records(answered, parse_layout(people.config), lambda user: f"user {user}", left_out)
    return list(found), left_out


def only(people: People) -> Record:
    [record], left_out = records(people)
    assert not left_out
    return record


def test_an_answer_is_compared_by_value_with_the_prediction_it_was_made_from(people: People) -> None:
    people.task(1)
    people.answer(1, {TA: VIDEO_1, VQ: VIDEO_1, OA: TIE})
    record = only(people)
    assert {d: opinion.comparison for d, opinion in record.opinions.items()} == {
        TA: Comparison.FLIP,
        MQ: Comparison.AGREE,
        VQ: Comparison.MODEL_TIE,
        OA: Comparison.HUMAN_TIE,
    }
    assert record.model == MODEL
    assert record.opinions[TA].confidence == pytest.approx(0.71)
    assert record.disagrees
    assert record.exposure is Exposure.SHOWN


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"deleted": True}, LeftOut.DELETED),
        ({"was_cancelled": True}, LeftOut.SKIPPED),
        ({"lead_time": None}, LeftOut.BULK),
    ],
)
def test_what_nobody_stands_for_is_left_out_and_counted(
    people: People, values: dict[str, Any], reason: LeftOut
) -> None:
    people.task(1)
    people.answer(1, **values)
    assert records(people) == ([], Counter({reason: 1}))


def test_answers_made_in_bulk_stay_so_when_the_predictions_are_deleted(people: People) -> None:
    people.task(1)
    number = people.answer(1, lead_time=None)
    people.answer(1, lead_time=None, linked=False, id=number)
    assert records(people) == ([], Counter({LeftOut.BULK: 1}))


def test_an_answer_to_a_task_that_was_never_judged_is_left_out(people: People) -> None:
    people.answer(2, linked=False, result=())
    assert records(people) == ([], Counter({LeftOut.NOT_JUDGED: 1}))


def test_an_answer_to_other_videos_is_not_the_label_of_those_that_the_task_has_now(people: People) -> None:
    people.task(1)
    people.answer(1, {OA: VIDEO_1})
    moved = PairwiseTask(PROJECT, 1, "/b.mp4", "/a.mp4", "A white paper plane loops through pink clouds.")
    people.ledger.enter([moved], VERSION)
    people.task(1, videos=("/b.mp4", "/a.mp4"), published=False)
    assert records(people) == ([], Counter({LeftOut.OTHER_DATA: 1}))
    people.answer(1, {OA: VIDEO_2}, id=1, updated_at=datetime.now(UTC) + timedelta(minutes=1))
    assert (only(people).video1, only(people).human[OA]) == ("/b.mp4", VIDEO_2)


def test_an_answer_is_beside_the_version_that_judged_what_the_person_saw(people: People) -> None:
    people.task(1)
    people.answer(1, linked=False)
    people.ledger.enter([PairwiseTask(PROJECT, 1, "/b.mp4", "/a.mp4", "A plane")], OTHER)
    people.task(1, version=OTHER, videos=("/b.mp4", "/a.mp4"), prompt="A plane", published=False)
    people.answer(1, linked=False, user=2, updated_at=datetime.now(UTC) + timedelta(minutes=1))
    found, _ = records(people)
    assert [(one.annotator, one.video1, one.model_version) for one in found] == [
        ("user 1", "/a.mp4", VERSION),
        ("user 2", "/b.mp4", OTHER),
    ]


@pytest.fixture
def corrected(people: People) -> People:
    """A task that a person answered from its prediction; then it was given other videos, and judged anew."""
    now = [START]
    people.ledger._clock = lambda: now[0]
    people.task(1)
    people.answer(1, {TA: VIDEO_1}, minute=5)
    now[0] += timedelta(minutes=10)
    people.ledger.enter([PairwiseTask(PROJECT, 1, "/new.mp4", "/b.mp4", "A plane")], OTHER)
    return people


def test_an_answer_from_a_prediction_that_was_changed_after_the_task_is_to_what_it_has_since(corrected: People) -> None:
    corrected.answer(1, {TA: VIDEO_1}, user=2, minute=9)
    corrected.answer(1, {TA: TIE}, id=1, minute=30)
    [old], left_out = records(corrected)
    assert (old.annotator, old.video1, old.exposure, left_out) == (
        *("user 2", "/a.mp4", Exposure.SHOWN),
        Counter({LeftOut.OTHER_DATA: 1}),
    )
    corrected.task(1, version=OTHER, videos=("/new.mp4", "/b.mp4"), prompt="A plane", published=False)
    found, left_out = records(corrected)
    assert not left_out
    assert [(one.annotator, one.video1, one.model_version, one.exposure) for one in found] == [
        ("user 1", "/new.mp4", OTHER, Exposure.UNKNOWN),
        ("user 2", "/a.mp4", VERSION, Exposure.SHOWN),
    ]


def test_an_answer_is_to_the_row_it_began_with_though_label_studios_clock_is_behind(corrected: People) -> None:
    corrected.task(1, version=OTHER, videos=("/new.mp4", "/b.mp4"), prompt="A plane", published=False)
    corrected.ledger.mark_all_published({Key(PROJECT, 1, OTHER): 2001})
    corrected.answer(1, {TA: TIE}, parent_prediction=2001, user=2, minute=9)
    found, _ = records(corrected)
    assert [(one.annotator, one.video1, one.exposure) for one in found] == [
        ("user 1", "/a.mp4", Exposure.SHOWN),
        ("user 2", "/new.mp4", Exposure.SHOWN),
    ]


def test_an_answer_from_the_prediction_of_a_row_that_was_entered_anew_is_to_its_new_videos(people: People) -> None:
    now = [START]
    people.ledger._clock = lambda: now[0]
    people.task(1)
    people.answer(1, minute=5)
    now[0] += timedelta(minutes=10)
    people.ledger.enter([PairwiseTask(PROJECT, 1, "/new.mp4", "/b.mp4", "A plane")], VERSION)
    people.task(1, videos=("/new.mp4", "/b.mp4"), prompt="A plane", published=False)
    people.ledger.mark_all_published({Key(PROJECT, 1, VERSION): 2001})
    assert records(people) == ([], Counter({LeftOut.OTHER_DATA: 1}))
    people.answer(1, parent_prediction=2001, user=2, minute=30)
    people.answer(1, user=3, minute=31)  # begun with the prediction about the old videos, and pressed on
    found, left_out = records(people)
    assert [(one.annotator, one.video1, one.exposure) for one in found] == [
        ("user 2", "/new.mp4", Exposure.SHOWN),
        ("user 3", "/new.mp4", Exposure.UNKNOWN),
    ]
    assert left_out == Counter({LeftOut.OTHER_DATA: 1})


def test_an_answer_by_another_program_without_a_prediction_is_no_bulk_answer(people: People) -> None:
    people.task(1)
    people.answer(1, lead_time=None, linked=False)
    assert only(people).exposure is Exposure.UNKNOWN


def test_several_annotators_of_a_task_are_kept_apart(people: People) -> None:
    people.task(1)
    people.answer(1, user=1)
    people.answer(1, {TA: VIDEO_1}, user=2)
    found, _ = records(people)
    assert [(one.annotator, one.disagrees) for one in found] == [("user 1", False), ("user 2", True)]


def test_of_two_answers_of_one_person_the_later_one_counts(people: People) -> None:
    people.task(1)
    people.answer(1, {TA: VIDEO_1}, minute=9)
    people.answer(1, {TA: TIE}, minute=5)
    [record], left_out = records(people)
    assert record.human[TA] is VIDEO_1
    assert left_out == Counter({LeftOut.SUPERSEDED: 1})


@pytest.mark.parametrize("minutes", [(5, 9), (9, 5)])
def test_an_answer_without_labels_replaces_none_that_has_some(people: People, minutes: tuple[int, int]) -> None:
    people.task(1)
    people.answer(1, {TA: VIDEO_1}, minute=minutes[0])
    people.answer(1, result=(), minute=minutes[1])
    [record], left_out = records(people)
    assert record.human[TA] is VIDEO_1
    assert left_out == Counter({LeftOut.SUPERSEDED: 1})


def test_answers_of_nobody_known_are_not_taken_for_one_person(people: People) -> None:
    people.task(1)
    people.answer(1, user=None)
    people.answer(1, user=None)
    assert len(records(people)[0]) == 2


def test_an_updated_answer_is_the_answer(people: People) -> None:
    people.task(1)
    number = people.answer(1, {TA: VIDEO_1})
    people.answer(1, {TA: TIE}, id=number)
    assert only(people).human[TA] is TIE


def test_a_deleted_prediction_leaves_the_ledger_s_row_of_the_version_asked_for(people: People) -> None:
    people.task(1)
    people.task(1, version=OTHER, published=False)
    people.answer(1, linked=False)
    for version in (VERSION, OTHER):
        [record], _ = records(people, version)
        assert (record.model_version, record.exposure) == (version, Exposure.UNKNOWN)


def test_a_judgement_of_the_blind_slice_was_seen_by_nobody(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/blind.db", blind_share=1.0)
    people = People(ledger)
    people.task(1, published=False)
    people.answer(1, {TA: VIDEO_1}, linked=False, reasons={})
    assert only(people).exposure is Exposure.BLIND
    ledger.close()


def test_who_may_have_seen_another_versions_prediction_is_not_blind(people: People) -> None:
    people.task(1)
    people.task(1, version=OTHER, published=False)
    people.ledger.hide(*people.ledger.claim_for_publishing([Key(PROJECT, 1, OTHER)]))
    people.answer(1, linked=False)
    people.answer(1, linked=False, user=2, updated_at=datetime.now(UTC) + timedelta(minutes=1))
    people.answer(1, parent_prediction=77, user=3)
    found, _ = records(people, OTHER)
    assert [one.exposure for one in found] == [Exposure.BLIND, Exposure.UNKNOWN, Exposure.UNKNOWN]


def test_a_judgement_that_the_labeling_config_hides_was_seen_by_nobody(people: People) -> None:
    people.task(1, published=False)
    people.ledger.hide(*people.ledger.claim_for_publishing([Key(PROJECT, 1, VERSION)]))
    people.answer(1, linked=False)
    assert only(people).exposure is Exposure.BLIND


def test_missing_dimensions_are_missing_and_told(people: People) -> None:
    people.task(1)
    people.answer(1, {MQ: None, VQ: None})
    record = only(people)
    assert record.human == {TA: VIDEO_2, OA: VIDEO_2}
    assert record.opinions[MQ].comparison is Comparison.MISSING
    assert record.problems == ("no usable label for MQ, VQ",)
    assert not record.disagrees


def test_a_label_outside_the_config_is_told_and_counts_as_none(people: People) -> None:
    people.task(1)
    alien = {"from_name": "ta", "to_name": "video1", "type": "choices", "value": {"choices": ["Video 3"]}}
    control = parse_layout(FULL).choices[TA].name
    people.answer(1, result=({**alien, "from_name": control},))
    record = only(people)
    assert record.human == {}
    assert record.problems[0] == "TA: 'Video 3' is not one of its choices"


def test_an_answer_made_with_another_config_names_the_controls_it_answers(people: People) -> None:
    people.task(1)
    item = {"from_name": "quality", "to_name": "x", "type": "choices", "value": {"choices": ["Video 1"]}}
    people.answer(1, result=(item,))
    assert only(people).problems == (
        "no usable label for TA, MQ, VQ, OA; it answers controls that are none of theirs: quality",
    )


def test_rationales_are_kept_as_they_were_and_as_the_person_left_them(people: People) -> None:
    people.task(1)
    people.answer(1, {MQ: VIDEO_1}, reasons={MQ: "Video 2 stutters."})
    opinions = only(people).opinions
    assert opinions[MQ].human_rationale == "Video 2 stutters."
    assert opinions[MQ].model_rationale.startswith("Video 1 freezes")
    assert [d for d, opinion in opinions.items() if opinion.rationale_edited] == [MQ]


def test_nothing_is_edited_where_the_config_has_no_place_for_reasons(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/minimal.db")
    people = People(ledger, MINIMAL)
    people.task(1)
    people.answer(1)
    assert not any(opinion.rationale_edited for opinion in only(people).opinions.values())
    ledger.close()


def test_a_prompt_is_on_the_same_side_whatever_its_spaces_and_case() -> None:
    assert split_of("A  red\npanda") == split_of("a red panda ")
    shares = Counter(split_of(f"prompt {number}") for number in range(2000))
    assert 0.08 < shares["validation"] / 2000 < 0.12
    assert (split_of("prompt 1"), split_of("prompt 19")) == ("train", "validation"), "it must never change"
    assert {split_of("half a character: \ud83d")} < {"train", "validation"}


def test_a_pseudonym_is_stable_and_depends_on_person_project_and_salt() -> None:
    names = {pseudonym(user, project, salt) for user in (1, 2) for project in (1, 2) for salt in (b"a", b"b")}
    assert len(names) == 8
    assert pseudonym(1, 1, b"a") in names
    assert pseudonym(None, 1, b"a") == "unknown"


CONFIDENCE = {TA: 0.71, MQ: 0.97, VQ: 0.58, OA: 0.93}


@pytest.mark.parametrize(
    ("changed", "selection", "taken"),
    [
        ({}, Selection(), True),
        ({}, Selection("disagreements"), False),
        ({}, Selection("agreements"), True),
        ({TA: VIDEO_1}, Selection("disagreements"), True),
        ({TA: VIDEO_1}, Selection("agreements"), False),
        ({TA: VIDEO_1}, Selection("disagreements", dimensions=(MQ,)), False),
        ({TA: VIDEO_1}, Selection("agreements", dimensions=(MQ,)), True),
        ({TA: VIDEO_1}, Selection("disagreements", min_confidence=0.7), True),
        ({TA: VIDEO_1}, Selection("disagreements", min_confidence=0.72), False),
        ({TA: VIDEO_1}, Selection("all", min_confidence=0.97), True),
        ({TA: VIDEO_1}, Selection("all", min_confidence=0.98), False),
        ({TA: None}, Selection("all", dimensions=(TA,)), False),
        ({TA: None}, Selection("agreements"), True),
        (dict.fromkeys(Dimension), Selection(), True),
        (dict.fromkeys(Dimension), Selection("agreements"), False),
        ({}, Selection(annotators=("user 1",)), True),
        ({}, Selection(annotators=("user 2",)), False),
        ({}, Selection(since=START + timedelta(minutes=1)), True),
        ({}, Selection(since=START + timedelta(minutes=2)), False),
        ({}, Selection(model_version=VERSION), True),
        ({}, Selection(model_version=OTHER), False),
        ({}, Selection(exported={(1, VERSION): START + timedelta(minutes=1)}), False),
        ({}, Selection(exported={(1, VERSION): START}), True),
        ({}, Selection(exported={(1, OTHER): START + timedelta(minutes=1)}), True),
    ],
)
def test_a_selection_takes_what_meets_every_condition(
    people: People, changed: dict[Dimension, Any], selection: Selection, taken: bool
) -> None:
    people.task(1)
    people.answer(1, changed)
    record = only(people)
    assert {d: opinion.confidence for d, opinion in record.opinions.items()} == pytest.approx(CONFIDENCE)
    assert selection.takes(record) is taken
