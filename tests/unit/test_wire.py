"""Frozen values survive the trip through JSON, and nothing else gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.types import (
    Clip,
    Dimension,
    FrameRef,
    InspectedFrame,
    Judgement,
    PairwiseTask,
    Preference,
    StopCondition,
    Turn,
    Verdict,
)
from backend.wire import Failure, Order, Outcome, from_json, from_text, to_json

TASK = PairwiseTask(1, 7, "/data/a.mp4", "/data/b.mp4", 'He says "hi" 😀 <b>\u202eabc\n')
ORDER = Order(TASK, "tiny-1.x", attempt=2)
TURN = Turn(
    reply="<Answer>...",
    outcome="answer",
    note="",
    served=(1, 2),
    forced=True,
    prompt_tokens=100,
    cached_tokens=50,
    completion_tokens=20,
    seconds=0.25,
)
SWAPPED = Judgement("tiny-1.x", {}, "", StopCondition.TRUNCATED, False, (), (), ())
JUDGEMENT = Judgement(
    model_version="tiny-1.x",
    verdicts={
        Dimension.TA: Verdict(Preference.TIE, (0.5, 0.25, 0.25), 0.875, "Both fit.", order_dependent=True),
        Dimension.OA: Verdict(Preference.VIDEO_2),
    },
    reasoning="Both fit.",
    stop=StopCondition.ANSWERED,
    forced=True,
    turns=(TURN,),
    frames=(InspectedFrame(FrameRef(2, 127), 118, 119, 4.9375, 1),),
    clips=(Clip(1, 240, 29.97, 1280, 720), Clip(2, 120, 24.0, 720, 1280)),
    seconds={"frames": 0.5},
    swapped=SWAPPED,
)


@pytest.mark.parametrize(
    "value",
    [
        TASK,
        ORDER,
        JUDGEMENT,
        Outcome(ORDER, judgement=JUDGEMENT),
        Outcome(ORDER, failure=Failure("media", "404", False)),
    ],
    ids=["task", "order", "judgement", "judged", "failed"],
)
def test_a_value_comes_back_equal_from_json(value: object) -> None:
    text = json.dumps(to_json(value), allow_nan=False)
    back = from_json(type(value), json.loads(text))
    assert back == from_text(type(value), text) == value
    assert type(back) is type(value)


def test_half_a_surrogate_pair_is_read_from_text_too() -> None:
    broken = {**to_json(JUDGEMENT), "reasoning": "half \ud83d of it"}
    assert from_text(Judgement, json.dumps(broken)).reasoning == "half \ud83d of it"


def test_labels_are_words_and_preferences_the_model_s_digits_in_json() -> None:
    encoded = to_json(JUDGEMENT)
    assert encoded["verdicts"]["OA"]["preference"] == 2
    assert encoded["stop"] == "answered"
    assert encoded["frames"][0]["ref"] == {"video": 2, "slot": 127}


def test_enumerations_and_tuples_come_back_as_such() -> None:
    back = from_json(Judgement, json.loads(json.dumps(to_json(JUDGEMENT))))
    assert all(isinstance(dimension, Dimension) for dimension in back.verdicts)
    assert isinstance(back.verdicts[Dimension.TA].preference, Preference)
    assert isinstance(back.stop, StopCondition)
    assert isinstance(back.turns, tuple)
    assert back.labels == {Dimension.TA: Preference.TIE, Dimension.OA: Preference.VIDEO_2}


def changed(path: str, value: object) -> dict[str, Any]:
    """The judgement's JSON with another value at a dotted path."""
    data = to_json(JUDGEMENT)
    *parents, last = path.split(".")
    place: Any = data
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("verdicts.TA.preference", 3),
        ("verdicts.TA.odds", [0.5, 0.5]),
        ("verdicts.XX", {"preference": 1}),
        ("stop", "tired"),
        ("frames.0.ref.video", 3),
        ("turns.0.outcome", "shrug"),
        ("turns", None),
        ("swapped", "yes"),
    ],
)
def test_a_value_out_of_the_types_is_refused_and_its_place_is_named(path: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"not a valid Judgement: {path.split('.')[0]}"):
        from_json(Judgement, changed(path, value))
    with pytest.raises(ValueError, match=rf"not a valid Judgement: {path.split('.')[0]}"):
        from_text(Judgement, json.dumps(changed(path, value)))


@pytest.mark.parametrize("data", [None, 5, "text", [], {}])
def test_something_else_than_the_object_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not a valid Order"):
        from_json(Order, data)


def test_a_refusal_does_not_repeat_what_the_object_holds() -> None:
    with pytest.raises(ValueError, match=r"task\.prompt") as raised:
        from_json(Order, {"task": {**to_json(TASK), "prompt": ["a secret"]}, "model_version": "v"})
    assert "secret" not in str(raised.value)


def test_an_outcome_is_a_judgement_or_a_failure_and_never_both_or_neither() -> None:
    with pytest.raises(ValueError, match="either a judgement or a failure"):
        Outcome(ORDER)
    with pytest.raises(ValueError, match="either a judgement or a failure"):
        Outcome(ORDER, judgement=JUDGEMENT, failure=Failure("media", "404", retryable=False))
    with pytest.raises(ValueError, match="either a judgement or a failure"):
        from_json(Outcome, {"order": to_json(ORDER)})
