"""Whether a judgement depends on which video came first: judge again with the videos exchanged and compare.

Odds from the two orders are combined with the product rule: p(k) ~ p1(k) * p2(k), the logarithmic opinion pool with
weight 1 each (Genest and Zidek, Statistical Science 1(1), 1986; Kittler et al., "On Combining Classifiers", IEEE TPAMI
20(3), 1998). In log odds it is a sum, so a constant pull towards one position, the bias that exchanging is meant to
reveal (Zheng et al., arXiv 2306.05685; Wang et al., arXiv 2305.17926), cancels; and when both orders prefer the same,
the confidence is never below either's. When they prefer different ones, each has one order for it, so the one shown
keeps at most even odds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from backend.errors import EngineError
from backend.reasoning.judge import judge
from backend.types import Frame, FrameRef, Preference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.reasoning.contract import Contract
    from backend.reasoning.judge import Engine, FrameSource
    from backend.reasoning.rollout import Rollout
    from backend.types import Clip, Judgement, Verdict, VideoNumber

SwapMode: TypeAlias = Literal["off", "uncertain", "all"]
Odds: TypeAlias = tuple[float, float, float]

OTHER: dict[VideoNumber, VideoNumber] = {1: 2, 2: 1}
EXCHANGED = {
    Preference.TIE: Preference.TIE,
    Preference.VIDEO_1: Preference.VIDEO_2,
    Preference.VIDEO_2: Preference.VIDEO_1,
}
EVEN = 0.5
SMALLEST = 1e-9  # stands for a probability rounded to zero, so that one order alone cannot rule a label out


class SwappedSource:
    """The same two videos with their numbers exchanged; a `FrameSource`."""

    def __init__(self, source: FrameSource) -> None:
        """`source` is the pair in its own order."""
        self._source = source
        self._frames: dict[FrameRef, Frame] = {}

    @property
    def clips(self) -> Sequence[Clip]:
        """Video 2's clip as Video 1, then Video 1's as Video 2."""
        first, second = self._source.clips
        return (replace(second, video=1), replace(first, video=2))

    def frames(self, refs: Sequence[FrameRef]) -> Sequence[Frame]:
        """The other video's frame for each reference; the same `Frame` again for a repeated one.

        Raises:
            MediaError: a video has no readable frame.
        """
        new = [ref for ref in dict.fromkeys(refs) if ref not in self._frames]
        shown = self._source.frames([FrameRef(OTHER[ref.video], ref.slot) for ref in new])
        self._frames.update({ref: replace(frame, ref=ref) for ref, frame in zip(new, shown, strict=True)})
        return [self._frames[ref] for ref in refs]


def judge_in_both_orders(
    engine: Engine,
    source: FrameSource,
    contract: Contract,
    prompt: str,
    *,
    model_version: str,
    mode: SwapMode,
    threshold: float,
    force_answer: bool = True,
    observe: Callable[[Rollout], None] = lambda _rollout: None,
) -> Judgement:
    """Judge, and again with the videos exchanged where `mode` asks for it; raises what `judge` raises.

    Where only the second conversation can never be held, e.g. because it asks for more pictures than fit, the first
    stands, uncompared.
    """

    def judged(pair: FrameSource) -> Judgement:
        return judge(
            engine, pair, contract, prompt, model_version=model_version, force_answer=force_answer, observe=observe
        )

    first = judged(source)
    if not needs_swap(first, mode, threshold):
        return first
    try:
        return merged(first, judged(SwappedSource(source)))
    except EngineError as error:
        if error.retryable:
            raise
        return first


def needs_swap(judgement: Judgement, mode: SwapMode, threshold: float) -> bool:
    """Whether to judge again: always, or where some dimension's confidence is below `threshold` or unknown."""
    if mode == "off" or not judgement.verdicts:
        return False
    confidences = [verdict.confidence for verdict in judgement.verdicts.values()]
    return mode == "all" or any(confidence is None or confidence < threshold for confidence in confidences)


def merged(judgement: Judgement, swapped: Judgement) -> Judgement:
    """The judgement with what `swapped`, the one with the videos exchanged, says about it; keeps both.

    The preferences and the reasons stay those of the given order, so that they go on explaining each other. A dimension
    that `swapped` did not answer stays as it is.
    """
    verdicts = dict(judgement.verdicts)
    for dimension in verdicts.keys() & swapped.verdicts.keys():
        verdicts[dimension] = _checked(verdicts[dimension], exchanged(swapped.verdicts[dimension]))
    return replace(judgement, verdicts=verdicts, swapped=swapped)


def exchanged(verdict: Verdict) -> Verdict:
    """The verdict in terms of the other numbering; its rationale stays as the model wrote it."""
    odds = verdict.odds and (verdict.odds[0], verdict.odds[2], verdict.odds[1])
    return replace(verdict, preference=EXCHANGED[verdict.preference], odds=odds)


def score(judgement: Judgement) -> float | None:
    """How sure the judgement is, 0 to 1: the confidence of its least certain dimension; None without odds.

    Sorting by it ascending is least-confidence sampling (Lewis and Gale, SIGIR 1994). The minimum rather than the mean,
    because one doubtful dimension makes a task worth a look, which three certain ones would average away.
    """
    known = [verdict.confidence for verdict in judgement.verdicts.values() if verdict.confidence is not None]
    return min(known, default=None)


def _checked(verdict: Verdict, other: Verdict) -> Verdict:
    contradicted = verdict.preference != other.preference
    verdict = replace(verdict, order_dependent=contradicted)
    if verdict.odds is None or other.odds is None:
        return verdict
    odds = _product(verdict.odds, other.odds)
    if contradicted:
        odds = _capped(odds, verdict.preference, min(EVEN, verdict.odds[verdict.preference]))
    masses = [mass for mass in (verdict.mass, other.mass) if mass is not None]
    return replace(verdict, odds=odds, mass=min(masses, default=None))


def _product(first: Odds, second: Odds) -> Odds:
    tie, video1, video2 = (max(a, SMALLEST) * max(b, SMALLEST) for a, b in zip(first, second, strict=True))
    return _scaled(tie, video1, video2)


def _scaled(tie: float, video1: float, video2: float) -> Odds:
    total = tie + video1 + video2
    return (tie / total, video1 / total, video2 / total)


def _capped(odds: Odds, preference: Preference, limit: float) -> Odds:
    """The odds with at most `limit` for one label: a contradiction must not look like support."""
    if odds[preference] <= limit:
        return odds
    rest = sum(p for label, p in enumerate(odds) if label != preference)
    tie, video1, video2 = (limit if label == preference else p / rest * (1 - limit) for label, p in enumerate(odds))
    return (tie, video1, video2)
