"""A project's labeling config -> `Layout`: where the pairwise controls are, whatever they are called there.

Reads XML only, so the web process need not load Label Studio's SDK. Hostile XML (entities, document types) is refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError  # only the error class; parsing is defusedxml's

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from backend.errors import LabelConfigError
from backend.label_studio.controls import find_choices, find_text_areas, find_timelines
from backend.label_studio.naming import PROMPT, Role, video_number_of, words_of
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from xml.etree.ElementTree import Element  # a type only

    from backend.label_studio.controls import ChoiceControl, Control, TimelineControl
    from backend.types import VideoNumber

VARIABLE = re.compile(r"\$([\w.]+)")
BLIND_CLASS = "vrthinker-blind"


@dataclass(frozen=True, slots=True)
class VideoObject:
    """A player: its name, the task's data key of its video, and its `frameRate` attribute as written ("" if absent)."""

    name: str
    key: str
    frame_rate: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The pairwise controls of one project. What a config may leave out is absent from the mappings, or None.

    `blind` says that the annotators of this project must not see what the model thinks: publish nothing to it.
    """

    choices: Mapping[Dimension, ChoiceControl]
    rationales: Mapping[Dimension, Control]
    notes: Mapping[Dimension, Control]
    overall: Control | None
    trace: Control | None
    timelines: Mapping[VideoNumber, TimelineControl]
    videos: Mapping[VideoNumber, VideoObject]
    prompt_key: str
    blind: bool = False


def parse_layout(label_config: str) -> Layout:
    """Find the pairwise controls in a labeling config.

    Raises:
        LabelConfigError: it is not XML, or lacks the four dimensions, the two videos or the prompt, or leaves open
            which control is meant; names every problem at once, and what was found.
    """
    root = _parse_xml(label_config)
    tags: dict[str, list[Element]] = defaultdict(list)
    for element in root.iter():
        tags[element.tag.lower()].append(element)
    problems: list[str] = []
    videos = _videos(tags["video"], problems)
    prompt_key = _prompt_key([*tags["text"], *tags["hypertext"], *tags["header"]], problems)
    choices = find_choices(tags["choices"], problems)
    texts = find_text_areas(tags["textarea"], problems)
    numbers = {video.name: number for number, video in videos.items()}
    timelines = find_timelines(tags["timelinelabels"], numbers, problems)
    if problems:
        raise LabelConfigError(_report(problems, tags))
    return Layout(
        choices=choices,
        rationales={d: control for d in Dimension if (control := texts.get((Role.RATIONALE, d)))},
        notes={d: control for d in Dimension if (control := texts.get((Role.NOTE, d)))},
        overall=texts.get((Role.RATIONALE, None)),
        trace=texts.get((Role.TRACE, None)),
        timelines=timelines,
        videos=videos,
        prompt_key=prompt_key,
        blind=any(BLIND_CLASS in element.get("className", "").split() for element in tags["view"]),
    )


def _parse_xml(label_config: str) -> Element:
    try:
        root: Element = ElementTree.fromstring(label_config, forbid_dtd=True)
    except DefusedXmlException:
        raise LabelConfigError(
            "The labeling config declares a document type or entities, which are refused. "
            "Remove <!DOCTYPE ...> and <!ENTITY ...>."
        ) from None
    except (ParseError, ValueError) as error:
        raise LabelConfigError(f"The labeling config is not well-formed XML: {error}. Correct it there.") from None
    return root


def _report(problems: Iterable[str], tags: Mapping[str, Sequence[Element]]) -> str:
    kinds = {"Video": "video", "Text": "text", "Choices": "choices"}
    found = [
        f"{kind} {', '.join(repr(element.get('name', '?')) for element in tags[tag])}"
        for kind, tag in kinds.items()
        if tags.get(tag)
    ]
    return (
        "This labeling config cannot be used for pairwise video preference:\n"
        + "".join(f"- {problem}\n" for problem in problems)
        + f"Found: {'; '.join(found) or 'no videos, texts or choices'}. "
        + "label_config/pairwise_video.xml is an example that works."
    )


def _variable(element: Element) -> str | None:
    """The data key of `value="$key"`."""
    match = VARIABLE.fullmatch(element.get("value", "").strip())
    return match[1] if match else None


def _videos(elements: Sequence[Element], problems: list[str]) -> dict[VideoNumber, VideoObject]:
    if len(elements) != 2:
        problems.append(f'two <Video name="..." value="$..."/> are needed, there are {len(elements)}.')
        return {}
    found = []
    for element in elements:
        name, key = element.get("name", ""), _variable(element)
        if not name or key is None:
            problems.append(
                f"the video {name!r} needs a name and must take its file from the task, under one key of letters, "
                f'digits, _ and dots: value="$video1", say. Its value is {element.get("value", "")!r:.60}.'
            )
            return {}
        found.append(VideoObject(name, key, element.get("framerate", element.get("frameRate", "")).strip()))
    order = _order(found)
    if order is None:
        problems.append(
            f"it is unclear which is Video 1: {found[0].name!r} (${found[0].key}) or "
            f"{found[1].name!r} (${found[1].key}). Name them video1 and video2, with $video1 and $video2."
        )
        return {}
    return {order[0]: found[0], order[1]: found[1]}


def _order(videos: Sequence[VideoObject]) -> tuple[VideoNumber, VideoNumber] | None:
    """The numbers of two players in document order: what names and keys say, else first and second; None: unclear."""
    if videos[0].key == videos[1].key or videos[0].name == videos[1].name:
        return None
    orders: set[tuple[VideoNumber, VideoNumber]] = set()
    for first, second in ((videos[0].name, videos[1].name), (videos[0].key, videos[1].key)):
        one, two = video_number_of(first), video_number_of(second)
        if one is None and two is None:
            continue
        if one == two:
            return None
        orders.add((1, 2) if one == 1 or two == 2 else (2, 1))  # the second video
    if len(orders) > 1:
        return None
    return orders.pop() if orders else (1, 2)


def _prompt_key(elements: Sequence[Element], problems: list[str]) -> str:
    keyed = [(element, key) for element in elements if (key := _variable(element)) is not None]
    named = [key for element, key in keyed if PROMPT & {*words_of(element.get("name", "")), *words_of(key)}]
    keys = sorted(set(named)) or sorted({key for _, key in keyed})
    if len(keys) == 1:
        problems += [_encoded(element) for element, key in keyed if key == keys[0] and _is_encoded(element)]
        return keys[0]
    mixed = [value for element in elements if "$" in (value := element.get("value", ""))]
    if keys:
        problems.append(
            f"it is unclear which text is the prompt: {', '.join(f'${key}' for key in keys)}. Name it prompt."
        )
    elif mixed:
        problems.append(
            f'value={mixed[0]!r:.60} is not one key of the task alone; show the prompt by value="$prompt" (letters, '
            "digits, _ and dots), and further words in a <Header> of their own."
        )
    else:
        problems.append('the prompt is not shown; add <Text name="prompt" value="$prompt"/>.')
    return ""


def _is_encoded(element: Element) -> bool:
    """Whether the text that people see is not the task's value but what lies at that address, or its decoded form."""
    kind, encoding = _attribute(element, "valueType"), _attribute(element, "encoding")
    return kind not in ("", "text") or encoding not in ("", "none")


def _encoded(element: Element) -> str:
    return (
        f"the prompt {element.get('name', '?')!r} shows something else than the task's value, which is what the model "
        'reads. Put the text itself into the tasks, and remove valueType="url" or encoding="base64".'
    )


def _attribute(element: Element, name: str) -> str:
    """An attribute in lower case, under a name that Label Studio takes in any case."""
    return next((value.strip().lower() for key, value in element.items() if key.lower() == name.lower()), "")
