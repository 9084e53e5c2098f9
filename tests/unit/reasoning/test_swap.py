"""A judgement is checked against the one with the videos exchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backend.errors import EngineError, EngineUnavailableError
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.reasoning.swap import (
    Odds,
    SwapMode,
    exchanged,
    judge_in_both_orders,
    merged,
    needs_swap,
    score,
)
from backend.types import (
    Completion,
    Conversation,
    DigitOdds,
    Dimension,
    Frame,
    Judgement,
    Preference,
    StopCondition,
    Verdict,
)
from backend.wire import from_json, to_json
from tests.fakes import FakeFrameSource, ScriptedEngine
from tests.unit.reasoning.replies import answer, call, labels

TA, MQ, VQ, OA = Dimension
TIE, VIDEO_1, VIDEO_2 = Preference


def judgement(**verdicts: Verdict) -> Judgement:
    """An answered judgement with these verdicts, by dimension."""
    return Judgement(
        model_version="v",
        verdicts={Dimension(name): verdict for name, verdict in verdicts.items()},
        reasoning="",
        stop=StopCondition.ANSWERED if verdicts else StopCondition.TURN_LIMIT,
        forced=False,
        turns=(),
        frames=(),
        clips=(),
    )


def verdict(odds: Odds, mass: float = 1.0) -> Verdict:
    """The verdict for the likeliest label of these odds (tie, Video 1, Video 2)."""
    return Verdict(Preference(odds.index(max(odds))), odds, mass, rationale="because")


def checked(first: Verdict, second: Verdict) -> Verdict:
    """The merged verdict on TA; `second` is in the numbering of the exchanged videos."""
    return merged(judgement(TA=first), judgement(TA=second)).verdicts[TA]


# (tie, Video 1, Video 2) in the given order, then as answered with the videos exchanged
AGREEING = [
    ((0.1, 0.8, 0.1), (0.1, 0.1, 0.8)),
    ((0.3, 0.4, 0.3), (0.2, 0.35, 0.45)),
    ((0.6, 0.2, 0.2), (0.5, 0.3, 0.2)),
    ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
]
CONTRADICTING = [
    ((0.1, 0.8, 0.1), (0.1, 0.8, 0.1)),
    ((0.0, 1.0, 0.0), (0.0, 1.0, 0.0)),
    ((0.4, 0.55, 0.05), (0.05, 0.5, 0.45)),
    ((0.6, 0.2, 0.2), (0.1, 0.2, 0.7)),
    ((0.1, 0.1, 0.8), (0.7, 0.2, 0.1)),
]


@pytest.mark.parametrize(("first", "second"), AGREEING)
def test_agreement_between_the_orders_raises_the_confidence(first: Odds, second: Odds) -> None:
    result = checked(verdict(first), verdict(second))
    assert result.order_dependent is False
    assert result.preference == verdict(first).preference
    assert result.confidence is not None
    assert result.confidence >= max(*first, *second) - 1e-9
    assert sum(result.odds or ()) == pytest.approx(1)


@pytest.mark.parametrize(("first", "second"), CONTRADICTING)
def test_contradiction_marks_the_dimension_as_order_dependent_and_lowers_the_confidence(
    first: Odds, second: Odds
) -> None:
    result = checked(verdict(first), verdict(second))
    assert result.order_dependent is True
    assert result.preference == verdict(first).preference
    assert result.confidence is not None
    assert result.confidence <= 0.5
    assert result.confidence < max(first)
    assert sum(result.odds or ()) == pytest.approx(1)


def test_a_pull_towards_one_position_cancels_out() -> None:
    always_first = (0.1, 0.8, 0.1)
    assert checked(verdict(always_first), verdict(always_first)).odds == pytest.approx((1 / 17, 8 / 17, 8 / 17))


def test_the_odds_are_the_product_of_both_orders() -> None:
    result = checked(verdict((0.2, 0.6, 0.2)), verdict((0.25, 0.25, 0.5)))
    assert result.odds == pytest.approx((0.05 / 0.4, 0.3 / 0.4, 0.05 / 0.4))


ODDS = st.tuples(*[st.floats(0, 1)] * 3).filter(lambda odds: sum(odds) > 1e-6)


@given(ODDS, ODDS)
def test_merged_odds_are_odds_and_move_the_right_way(first: Odds, second: Odds) -> None:
    ours, theirs = (verdict((a / (a + b + c), b / (a + b + c), c / (a + b + c))) for a, b, c in (first, second))
    result = checked(ours, theirs)
    assert result.odds is not None
    assert all(0 <= p <= 1 for p in result.odds)
    assert sum(result.odds) == pytest.approx(1)
    own, other = (v.odds[ours.preference] for v in (ours, exchanged(theirs)) if v.odds)
    if result.order_dependent:
        assert result.odds[ours.preference] <= min(own, 0.5)
    else:
        assert result.odds[ours.preference] >= max(own, other) - 1e-6


@given(ODDS, ODDS)
def test_the_order_of_the_two_orders_does_not_matter_where_they_agree(first: Odds, second: Odds) -> None:
    ours, theirs = verdict(first), exchanged(verdict(second))
    assume(ours.preference == theirs.preference)
    assert checked(ours, exchanged(theirs)).odds == pytest.approx(checked(theirs, exchanged(ours)).odds)


@pytest.mark.parametrize("preference", list(Preference))
def test_exchanging_twice_changes_nothing(preference: Preference) -> None:
    given_verdict = Verdict(preference, (0.2, 0.5, 0.3), 0.9, "because")
    assert exchanged(exchanged(given_verdict)) == given_verdict
    assert exchanged(given_verdict).odds == (0.2, 0.3, 0.5)
    assert exchanged(given_verdict).rationale == "because"


def test_the_lower_mass_and_the_given_order_s_reason_are_kept() -> None:
    result = checked(verdict((0.1, 0.8, 0.1), mass=0.9), verdict((0.1, 0.1, 0.8), mass=0.4))
    assert (result.mass, result.rationale) == (0.4, "because")


@pytest.mark.parametrize(
    ("first", "second", "order_dependent"),
    [
        (Verdict(VIDEO_1), Verdict(VIDEO_2), False),
        (Verdict(VIDEO_1), Verdict(VIDEO_1), True),
        (Verdict(TIE), Verdict(TIE), False),
        (Verdict(VIDEO_1, (0.1, 0.8, 0.1), 1.0), Verdict(TIE), True),
    ],
)
def test_without_odds_only_the_dependence_on_the_order_is_told(
    first: Verdict, second: Verdict, *, order_dependent: bool
) -> None:
    assert checked(first, second) == replace(first, order_dependent=order_dependent)


def test_odds_without_a_known_mass_are_merged_without_one() -> None:
    result = checked(Verdict(TIE, (1.0, 0.0, 0.0)), Verdict(TIE, (1.0, 0.0, 0.0)))
    assert result.mass is None
    assert result.confidence == pytest.approx(1)


def test_both_judgements_are_kept() -> None:
    first, second = judgement(TA=Verdict(VIDEO_1)), judgement(TA=Verdict(VIDEO_2))
    both = merged(first, second)
    assert both.swapped is second
    assert replace(both, swapped=None, verdicts=first.verdicts) == first


def test_a_second_judgement_without_an_answer_leaves_the_first_as_it_was() -> None:
    both = merged(judgement(TA=Verdict(VIDEO_1)), judgement())
    assert both.verdicts == {TA: Verdict(VIDEO_1)}
    assert both.verdicts[TA].order_dependent is None
    assert both.swapped is not None


def test_a_merged_judgement_survives_the_trip_through_json() -> None:
    both = merged(judgement(TA=verdict((0.1, 0.8, 0.1))), judgement(TA=verdict((0.1, 0.1, 0.8))))
    assert from_json(Judgement, json.loads(json.dumps(to_json(both)))) == both


SURE, UNSURE, UNKNOWN = verdict((0.0, 0.9, 0.1)), verdict((0.4, 0.0, 0.6)), Verdict(TIE)


@pytest.mark.parametrize(
    ("verdicts", "mode", "needed"),
    [
        ((SURE, SURE), "off", False),
        ((UNSURE, UNKNOWN), "off", False),
        ((SURE, SURE), "uncertain", False),
        ((SURE, UNSURE), "uncertain", True),
        ((SURE, UNKNOWN), "uncertain", True),
        ((SURE, SURE), "all", True),
    ],
)
def test_whether_to_judge_again_depends_on_the_mode_and_the_least_certain_dimension(
    verdicts: tuple[Verdict, Verdict], mode: SwapMode, *, needed: bool
) -> None:
    assert needs_swap(judgement(TA=verdicts[0], OA=verdicts[1]), mode, threshold=0.8) is needed


@pytest.mark.parametrize("mode", ["off", "uncertain", "all"])
def test_a_judgement_without_an_answer_is_not_judged_again(mode: SwapMode) -> None:
    assert not needs_swap(judgement(), mode, threshold=0.8)


def test_confidence_at_the_threshold_is_certain() -> None:
    assert not needs_swap(judgement(TA=verdict((0.1, 0.8, 0.1))), "uncertain", threshold=0.8)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [((SURE, SURE), 0.9), ((SURE, UNSURE), 0.6), ((UNSURE, UNKNOWN), 0.6), ((UNKNOWN, UNKNOWN), None)],
)
def test_the_score_is_the_confidence_of_the_least_certain_dimension(
    verdicts: tuple[Verdict, Verdict], expected: float | None
) -> None:
    assert score(judgement(TA=verdicts[0], OA=verdicts[1])) == expected


def test_a_judgement_without_an_answer_has_no_score() -> None:
    assert score(judgement()) is None


def completed(digits: str, confidence: float) -> Completion:
    """An answer whose digits all have this confidence."""
    text = answer(digits)
    places = [place for place, character in enumerate(text) if character.isdigit()]
    rest = (1 - confidence) / 2
    chosen = {0: (confidence, rest, rest), 1: (rest, confidence, rest), 2: (rest, rest, confidence)}
    odds = [DigitOdds(place, chosen[int(digit)], 1.0) for place, digit in zip(places, digits, strict=True)]
    return Completion(text, 0, 0, digits=tuple(odds))


def test_judging_in_both_orders_shows_the_second_run_the_videos_exchanged() -> None:
    engine = ScriptedEngine([completed("1122", 0.7), call(5), completed("2212", 0.7)])
    result = judge_in_both_orders(
        engine, FakeFrameSource(), VRTHINKER_128, "a cat", model_version="v", mode="all", threshold=0.8
    )
    assert result.labels == labels("1122")
    assert result.swapped is not None
    assert result.swapped.labels == labels("2212")
    assert {d: v.order_dependent for d, v in result.verdicts.items()} == {TA: False, MQ: False, VQ: False, OA: True}
    shown = [[p.image.getpixel((0, 0)) for p in c[1].parts if isinstance(p, Frame)] for c in engine.seen]
    assert [pixel[0] for pixel in shown[0]] == [1] * 4 + [2] * 4  # type: ignore[index]  # an RGB pixel is a tuple
    assert [pixel[0] for pixel in shown[1]] == [2] * 4 + [1] * 4  # type: ignore[index]  # an RGB pixel is a tuple
    assert score(result) == pytest.approx(result.verdicts[OA].confidence)


@pytest.mark.parametrize(("mode", "confidence"), [("off", 0.4), ("uncertain", 0.9)])
def test_a_certain_or_unchecked_judgement_is_made_once(mode: SwapMode, confidence: float) -> None:
    engine = ScriptedEngine([completed("1111", confidence)])
    result = judge_in_both_orders(
        engine, FakeFrameSource(), VRTHINKER_128, "a cat", model_version="v", mode=mode, threshold=0.8
    )
    once = judge(
        ScriptedEngine([completed("1111", confidence)]), FakeFrameSource(), VRTHINKER_128, "a cat", model_version="v"
    )
    assert result == once
    assert result.swapped is None


class FailingAfter:
    """A test double: an engine that gives one answer and refuses everything after it."""

    def __init__(self, completion: Completion, error: EngineError) -> None:
        self._completions, self._error = [completion], error

    def complete(self, _conversation: Conversation, *, max_new_tokens: int) -> Completion:
        if not self._completions:
            raise self._error
        return self._completions.pop()


def test_a_second_look_that_can_never_be_had_leaves_the_first() -> None:
    engine = FailingAfter(completed("1122", 0.7), EngineError("the context is too long"))
    result = judge_in_both_orders(
        engine, FakeFrameSource(), VRTHINKER_128, "a cat", model_version="v", mode="all", threshold=0.8
    )
    assert result.labels == labels("1122")
    assert result.swapped is None
    assert {verdict.order_dependent for verdict in result.verdicts.values()} == {None}


def test_a_second_look_that_may_be_had_later_is_waited_for() -> None:
    engine = FailingAfter(completed("1122", 0.7), EngineUnavailableError("the server restarts"))
    with pytest.raises(EngineUnavailableError, match="restarts"):
        judge_in_both_orders(
            engine, FakeFrameSource(), VRTHINKER_128, "a cat", model_version="v", mode="all", threshold=0.8
        )
