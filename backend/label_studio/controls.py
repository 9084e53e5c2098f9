"""The controls of a labeling config that pairwise judging writes to, found by what their names mean."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.label_studio.naming import CLAIM, INSPECTED, Role, dimension_of, grades, preference_of, role_of, words_of
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from backend.types import VideoNumber

DIMENSION_TITLES = {
    Dimension.TA: "text alignment",
    Dimension.MQ: "motion quality",
    Dimension.VQ: "visual quality",
    Dimension.OA: "overall",
}
PREFERENCE_TITLES = {Preference.VIDEO_1: "Video 1", Preference.TIE: "Tie", Preference.VIDEO_2: "Video 2"}


@dataclass(frozen=True, slots=True)
class Control:
    """A control that results are written to, and the object they are about."""

    name: str
    to_name: str


@dataclass(frozen=True, slots=True)
class ChoiceControl(Control):
    """`values` is what Label Studio stores for each preference; `meanings` reads values and aliases back."""

    values: Mapping[Preference, str]
    meanings: Mapping[str, Preference]


@dataclass(frozen=True, slots=True)
class TimelineControl(Control):
    """A timeline's control and the label that marks inspected frames."""

    label: str


def find_choices(elements: Sequence[Element], problems: list[str]) -> dict[Dimension, ChoiceControl]:
    """The one <Choices> for each dimension; what stands in the way is added to `problems`."""
    candidates: dict[Dimension, list[Element]] = defaultdict(list)
    for element in elements:
        if dimension := dimension_of(words_of(element.get("name", ""))):
            candidates[dimension].append(element)
    controls = {}
    for dimension in Dimension:
        example = f'<Choices name="{dimension.value.lower()}" toName="..." choice="single-radio">'
        match candidates[dimension]:
            case [element]:
                if control := _choice_control(element, problems):
                    controls[dimension] = control
            case []:
                problems.append(f"no choices for {dimension} ({DIMENSION_TITLES[dimension]}); add {example}.")
            case several:
                names = ", ".join(repr(element.get("name")) for element in several)
                problems.append(
                    f"several choices could be {dimension} ({DIMENSION_TITLES[dimension]}): {names}. "
                    "Rename all but one."
                )
    return controls


def _choice_control(element: Element, problems: list[str]) -> ChoiceControl | None:
    name = element.get("name", "")
    if element.get("choice", "single") == "multiple" or element.get("perRegion", "false") == "true":
        problems.append(
            f'choices {name!r} must take one answer for the whole task: choice="single-radio", no perRegion.'
        )
        return None
    values: dict[Preference, str] = {}
    meanings: dict[str, Preference] = {}
    further: list[str] = []
    for choice in _within(element, "choice"):
        texts = [text for text in (choice.get("value"), choice.get("alias")) if text]
        stated = {meaning for text in texts if (meaning := preference_of(text)) is not None}
        if len(stated) > 1 or any(meaning in values for meaning in stated):
            problems.append(f"choices {name!r}: {texts[0]!r} is not clearly Video 1, Tie or Video 2. Rename it.")
            return None
        if texts and not stated:
            further.append(texts[0])
        for meaning in stated:
            values[meaning] = texts[-1]  # Label Studio stores the alias where there is one
            meanings.update(dict.fromkeys(texts, meaning))
    missing = [title for preference, title in PREFERENCE_TITLES.items() if preference not in values]
    if missing:
        problems.append(
            f"choices {name!r} lack {', '.join(missing)}; add " + "".join(f'<Choice value="{t}"/>' for t in missing)
        )
        return None
    if problem := _beyond([text for text, meaning in meanings.items() if meaning is Preference.TIE], further):
        problems.append(f"choices {name!r}: {problem}")
        return None
    return ChoiceControl(name, _target(element), values, meanings)


def _beyond(tie: Sequence[str], further: Sequence[str]) -> str | None:
    """What choices beyond the three make unclear; an answer of another kind, like `Cannot tell`, is people's own."""
    names = ", ".join(map(repr, further))
    if grades(further):
        return f"the model says Video 1, Tie or Video 2 and cannot say {names}. Remove what goes beyond the three."
    if further and any(CLAIM in words_of(text) for text in tie):
        return f"{tie[0]!r} beside {names} says more than a tie, which the model cannot know. Offer one Tie instead."
    return None


def _within(element: Element, tag: str) -> Iterator[Element]:
    return (inner for inner in element.iter() if inner.tag.lower() == tag)


def _target(element: Element) -> str:
    return element.get("toName", "").split(",")[0].strip()


def find_text_areas(elements: Sequence[Element], problems: list[str]) -> dict[tuple[Role, Dimension | None], Control]:
    """The model's own text areas by what they are for; all others belong to the annotators."""
    found: dict[tuple[Role, Dimension | None], Control] = {}
    for element in elements:
        role = role_of(words_of(element.get("name", "")))
        if role is None or element.get("perRegion", "false") == "true":
            continue
        control = Control(element.get("name", ""), _target(element))
        if role == (Role.RATIONALE, Dimension.OA) and role in found:
            # Two texts on "overall": the one named oa is the card's, the other carries the whole reasoning.
            role, control = _whole(found, control)
        if found.setdefault(role, control) != control:
            problems.append(f"two text areas are for the same: {found[role].name!r} and {control.name!r}. Rename one.")
    return found


def _whole(
    found: dict[tuple[Role, Dimension | None], Control], control: Control
) -> tuple[tuple[Role, Dimension | None], Control]:
    card = (Role.RATIONALE, Dimension.OA)
    if "oa" in words_of(control.name):
        found[card], control = control, found[card]
    return (Role.RATIONALE, None), control


def find_timelines(
    elements: Sequence[Element], videos: Mapping[str, VideoNumber], problems: list[str]
) -> dict[VideoNumber, TimelineControl]:
    """The timeline label that marks inspected frames, for each video (by its object's name) that has one."""
    found: dict[VideoNumber, TimelineControl] = {}
    for element in elements:
        number, target = videos.get(_target(element)), _target(element)
        labels = [
            label.get("alias") or value
            for label in _within(element, "label")
            if INSPECTED & {*words_of(value := label.get("value", "")), *words_of(label.get("alias", ""))}
        ]
        if number is None or not labels:
            continue
        if number in found or len(labels) > 1:
            problems.append(f"more than one timeline label marks inspected frames of {target!r}. Keep one.")
        found[number] = TimelineControl(element.get("name", ""), target, labels[0])
    return found
