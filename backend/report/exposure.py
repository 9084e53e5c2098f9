"""What a person can have seen of a judgement when answering, and whether the two are of the same videos. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from backend.ledger import same_data

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backend.ledger import Annotation, Judged


class Exposure(StrEnum):
    """What the person knew of a judgement when answering."""

    SHOWN = "shown"  # began with this very prediction
    BLIND = "blind"  # the task was judged, but no version's judgement was shown before the answer
    UNLINKED = "unlinked"  # began with an empty form or another version's prediction: what was seen is unknown


def fits(annotation: Annotation, judged: Judged, changes: Sequence[datetime]) -> bool:
    """Whether a version judged the videos and the prompt that the person answered."""
    return same_data(annotation, judged.entered_at, changes, linked=linked(annotation, judged))


def linked(annotation: Annotation, judged: Judged) -> bool:
    """Whether the answer began with this version's prediction."""
    return annotation.parent_prediction is not None and annotation.parent_prediction == judged.prediction_id


def exposure_of(annotation: Annotation, judged: Judged, *, blind: bool, seen: bool) -> Exposure:
    """What a person knew of one version's judgement; an export's records say the same, `unknown` for `unlinked`.

    `blind` says that the project's config hides all of them now, `seen` that some version's may have been seen all the
    same: the config or `BLIND_SHARE` were others then.
    """
    if linked(annotation, judged):
        return Exposure.SHOWN
    return Exposure.BLIND if not seen and (blind or not judged.shown) else Exposure.UNLINKED


def exposure_to_any(annotation: Annotation, judged: list[Judged], *, blind: bool, seen: bool) -> Exposure:
    """What a person knew of any version's judgement."""
    found = {exposure_of(annotation, one, blind=blind, seen=seen) for one in judged}
    if Exposure.SHOWN in found:
        return Exposure.SHOWN
    hidden = not found and blind and not seen
    return Exposure.BLIND if hidden or found == {Exposure.BLIND} else Exposure.UNLINKED
