"""Label Studio's JSON <-> our types: tasks in, predictions out, annotations back in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from backend.errors import TaskDataError
from backend.label_studio.evidence import Evidence, player_fps
from backend.label_studio.layout import parse_layout
from backend.label_studio.wording import note, printable, trace, with_note, without_note
from backend.reasoning.swap import score
from backend.types import Dimension, PairwiseTask, Preference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend.label_studio.controls import Control
    from backend.label_studio.layout import Layout
    from backend.types import Judgement, Labels, VideoNumber

VIDEO_NUMBERS: tuple[VideoNumber, VideoNumber] = (1, 2)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a result says: the labels, and what was in it that means nothing or two things (for the log)."""

    labels: Labels
    problems: tuple[str, ...] = field(default=())


def parse_task(layout: Layout, project: int, raw: Mapping[str, object]) -> PairwiseTask:
    """The pairwise task in Label Studio's JSON of one task.

    Raises:
        TaskDataError: a video or the prompt is missing, empty or not text; names the data key.
    """
    number, data = raw.get("id"), raw.get("data")
    if type(number) is not int:
        raise TaskDataError(f"The task has no whole-number id (it is {number!r:.60}); it cannot be answered.")
    if not isinstance(data, dict):
        raise TaskDataError(f"Task {number} has no data object; import it again as JSON.")
    return PairwiseTask(
        project=project,
        task=number,
        video1=_text(data, layout.videos[1].key, number, "the URL of Video 1").strip(),
        video2=_text(data, layout.videos[2].key, number, "the URL of Video 2").strip(),
        prompt=_text(data, layout.prompt_key, number, "the prompt that both videos were made from"),
        player_fps=_player_fps(layout, data),
    )


def _text(data: Mapping[str, Any], key: str, task: int, meaning: str) -> str:
    value = _lookup(data, key)
    if value is None:
        present = ", ".join(sorted(map(str, data))) or "nothing"
        raise TaskDataError(f"Task {task} has no {key!r}, {meaning}. Its data holds: {present:.200}.")
    if not isinstance(value, str):
        raise TaskDataError(
            f"Task {task}: {key!r} must be text, {meaning}; it is {type(value).__name__} {value!r:.60}."
        )
    if not value.strip():
        raise TaskDataError(f"Task {task}: {key!r} is empty; it must be {meaning}.")
    return value


def _lookup(data: Mapping[str, Any], key: str) -> object:
    """`data["a.b"]`, else `data["a"]["b"]`, as Label Studio resolves `$a.b`."""
    if key in data:
        return data[key]
    head, dot, rest = key.partition(".")
    inner = data.get(head)
    return _lookup(inner, rest) if dot and isinstance(inner, dict) else None


def _player_fps(layout: Layout, data: Mapping[str, Any]) -> tuple[float, float]:
    one, two = (_frame_rate(layout.videos[number].frame_rate, data) for number in VIDEO_NUMBERS)
    return one, two


def _frame_rate(written: str, data: Mapping[str, Any]) -> float:
    return player_fps(_lookup(data, written[1:]) if written.startswith("$") else written)


def to_prediction(layout: Layout, judgement: Judgement, task: PairwiseTask | int) -> dict[str, Any]:
    """Label Studio's prediction for a judgement: only controls that the layout has, ids that never change.

    Takes the players' frame rates from the task; with just a task's id, from the labeling config alone.
    """
    rates = task.player_fps if isinstance(task, PairwiseTask) else _player_fps(layout, {})
    evidence = Evidence(judgement, rates)
    result = [item for dimension in Dimension for item in _dimension(layout, judgement, dimension, evidence)]
    if layout.overall and judgement.reasoning.strip():
        result.append(_textarea(layout.overall, judgement.reasoning))
    if layout.trace and judgement.turns:
        result.append(_textarea(layout.trace, trace(judgement, evidence), readonly=True))
    for number, control in layout.timelines.items():
        if ranges := evidence.ranges(number):
            value = {"ranges": ranges, "timelinelabels": [control.label]}
            result.append(_item(control, "timelinelabels", value, readonly=True))
    return {
        "task": task.task if isinstance(task, PairwiseTask) else task,
        "model_version": judgement.model_version,
        "score": score(judgement),
        "result": result,
    }


def _dimension(layout: Layout, judgement: Judgement, dimension: Dimension, evidence: Evidence) -> list[dict[str, Any]]:
    verdict = judgement.verdicts.get(dimension)
    if verdict is None:
        return []
    choice = layout.choices[dimension]
    items = [_item(choice, "choices", {"choices": [choice.values[verdict.preference]]})]
    said, rationale = note(dimension, judgement, evidence), verdict.rationale
    if dimension in layout.notes:
        items.append(_textarea(layout.notes[dimension], said, readonly=True))
    else:
        rationale = with_note(rationale, said)
    if dimension in layout.rationales and rationale.strip():
        items.append(_textarea(layout.rationales[dimension], rationale))
    return items


def _textarea(control: Control, text: str, *, readonly: bool = False) -> dict[str, Any]:
    return _item(control, "textarea", {"text": [printable(text)]}, readonly=readonly)


def _item(control: Control, kind: str, value: dict[str, Any], *, readonly: bool = False) -> dict[str, Any]:
    item = {"id": control.name, "from_name": control.name, "to_name": control.to_name, "type": kind, "value": value}
    return {**item, "readonly": True} if readonly else item


def validate_prediction(label_config: str, prediction: Mapping[str, Any]) -> list[str]:
    """What is wrong with a prediction for this config, in words; empty when Label Studio can show it.

    Label Studio's own check passes over absent dimensions and doubled ids, so those are checked here too.

    Raises:
        LabelConfigError: the config is not for pairwise judging.
    """
    layout, interface = _read(label_config)
    problems: list[str] = interface.validate_prediction(dict(prediction), return_errors=True)
    result = prediction.get("result")
    items = [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []
    reading = read_labels(layout, items)
    missing = [dimension.value for dimension in Dimension if dimension not in reading.labels]
    if missing:
        problems.append(f"no choice for {', '.join(missing)}")
    ids = [item.get("id") for item in items]
    problems.extend(f"the id {name!r} is used twice" for name in sorted({str(i) for i in ids if ids.count(i) > 1}))
    return problems + list(reading.problems)


@lru_cache(maxsize=8)
def _read(label_config: str) -> tuple[Layout, Any]:
    """A config as we and as Label Studio read it; kept, because reading takes 20 ms and publishing sends batches."""
    from label_studio_sdk.label_interface import LabelInterface  # heavy, and only publishers need it

    return parse_layout(label_config), LabelInterface(label_config)


def labels_of(layout: Layout, result: Sequence[Mapping[str, Any]]) -> Labels:
    """The preference per dimension in an annotation's or a prediction's result, by value; see `read_labels`."""
    return read_labels(layout, result).labels


def read_labels(layout: Layout, result: Sequence[Mapping[str, Any]]) -> Reading:
    """The preference per dimension, and every value that is not one of the three or contradicts another."""
    dimensions = {control.name: dimension for dimension, control in layout.choices.items()}
    found: dict[Dimension, set[Preference]] = {}
    problems = []
    for item in result:
        dimension = dimensions.get(str(item.get("from_name")))
        if dimension is None:
            continue
        problems += [f"{dimension}: {value!r:.60} is not text" for value in _others(item, "choices")]
        for text in _values(item, "choices"):
            meaning = layout.choices[dimension].meanings.get(text)
            if meaning is None:
                problems.append(f"{dimension}: {text!r:.60} is not one of its choices")
            else:
                found.setdefault(dimension, set()).add(meaning)
    for dimension, meanings in found.items():
        if len(meanings) > 1:
            problems.append(f"{dimension}: {len(meanings)} different choices at once")
    labels = {d: next(iter(found[d])) for d in Dimension if len(found.get(d, ())) == 1}
    return Reading(labels, tuple(problems))


def rationales_of(layout: Layout, result: Sequence[Mapping[str, Any]]) -> dict[Dimension, str]:
    """The rationale per dimension in a result, without the notes of ours; dimensions without one are absent."""
    dimensions = {control.name: dimension for dimension, control in layout.rationales.items()}
    found: dict[Dimension, str] = {}
    for item in result:
        dimension = dimensions.get(str(item.get("from_name")))
        if dimension is None:
            continue
        if text := without_note("\n".join(_values(item, "text"))).strip():
            found[dimension] = f"{found[dimension]}\n{text}" if dimension in found else text
    return found


def _values(item: Mapping[str, Any], key: str) -> list[str]:
    """The strings at `value.<key>`."""
    return [value for value in _listed(item, key) if isinstance(value, str)]


def _others(item: Mapping[str, Any], key: str) -> list[object]:
    """What else is there: of nested choices Label Studio stores each as a list, its path."""
    return [value for value in _listed(item, key) if not isinstance(value, str)]


def _listed(item: Mapping[str, Any], key: str) -> list[object]:
    """Everything at `value.<key>`; Label Studio writes a list, older exports a bare string."""
    value = item.get("value")
    values = value.get(key) if isinstance(value, dict) else None
    return values if isinstance(values, list) else [] if values is None else [values]
