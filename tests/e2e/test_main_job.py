"""The main job, whole: a task in Label Studio becomes a pre-annotation that a person accepts, whatever goes wrong."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from datasets import load_dataset

from backend.label_studio.convert import labels_of
from backend.label_studio.layout import parse_layout
from backend.ledger import ExportState, Key, State
from backend.types import Dimension
from tests.e2e.screen import Screen, chromium
from tests.e2e.stack import LABEL_CONFIG, Stack, stack_around

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import LabelStudioHandle

pytestmark = pytest.mark.e2e

NEVER_S = 3600.0  # reconciling must not do here what the direct way is to do
OFTEN_S = 1.0


@pytest.fixture(scope="module")
def running(label_studio: LabelStudioHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything runs, and nothing is reconciled."""
    with stack_around(label_studio, tmp_path_factory.mktemp("running"), reconcile_s=NEVER_S) as stack:
        stack.run("worker", "publisher")
        yield stack


@pytest.fixture(scope="module")
def judging(label_studio: LabelStudioHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything but the publisher runs."""
    with stack_around(label_studio, tmp_path_factory.mktemp("judging"), reconcile_s=OFTEN_S) as stack:
        stack.run("worker")
        yield stack


@pytest.fixture
def unpublished(judging: Stack) -> Iterator[Stack]:
    """Tasks are judged, and the test says when a publisher starts."""
    yield judging
    judging.stop("publisher")


def test_three_triggers_at_once_make_one_prediction_per_task(running: Stack) -> None:
    project = running.project("three triggers")
    tasks = running.add(project, {}, {"prompt": "Grey bars."}, {"prompt": "A picture of nothing."})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: running.client.retrieve_predictions(project), range(3)))
    entries = running.wait_until_ended(project, tasks)
    running.client.retrieve_predictions(project)

    assert [entry.state for entry in entries] == [State.PUBLISHED] * 3, [entry.message for entry in entries]
    layout = parse_layout(LABEL_CONFIG)
    for task, entry in zip(tasks, entries, strict=True):
        (prediction,) = running.predictions(task)
        judgement = running.ledger.judgement(Key(project, task, running.version))
        assert judgement is not None
        assert prediction["id"] == entry.prediction_id
        assert prediction["model_version"] == running.version
        assert labels_of(layout, prediction["result"]) == judgement.labels
        assert set(judgement.labels) == set(Dimension)
    assert len(running.lines("worker", " judged ", f"project={project}")) == 3


BAD_INPUT: dict[str, tuple[dict[str, Any], str, str]] = {
    "no video": ({"video2": ""}, "task_data", "'video2' is empty"),
    "a text file named .mp4": ({"video1": "/data/local-files/?d=clips/notes.mp4"}, "media", "is text, not a video"),
    "a 404 URL": ({"video2": "/data/local-files/?d=clips/gone.mp4"}, "media", "404"),
    "a missing prompt": ({"prompt": ""}, "task_data", "'prompt' is empty"),
}


def test_bad_input_leaves_its_reason_and_stops_no_other_task(running: Stack) -> None:
    project = running.project("bad input")
    (running.label_studio.files_root / "clips" / "notes.mp4").write_text("These are no moving pictures.\n")
    changes = [change for change, _, _ in BAD_INPUT.values()]
    *bad, good = running.add(project, *changes, {})

    running.client.retrieve_predictions(project)
    *failed, published = running.wait_until_ended(project, [*bad, good])

    assert published.state is State.PUBLISHED
    for (what, (_, reason, phrase)), task, entry in zip(BAD_INPUT.items(), bad, failed, strict=True):
        assert (entry.state, entry.reason) == (State.FAILED, reason), what
        assert phrase in entry.message, what
        assert running.predictions(task) == []
        told = Counter(
            process for process in ("web", "worker", "publisher") for _ in _told(running, process, entry.key)
        )
        assert set(told.values()) == {1}, f"{what}: {told}"


def _told(stack: Stack, process: str, key: Key) -> list[str]:
    return stack.lines(process, f"project={key.project} ", f"task={key.task} ", "reason=")


def _judged(stack: Stack, project: int, count: int) -> None:
    stack.wait(lambda: len(stack.lines("worker", " judged ", f"project={project} ")) == count)


def test_a_task_deleted_after_it_was_judged_is_skipped_and_the_others_are_published(unpublished: Stack) -> None:
    project = unpublished.project("deleted meanwhile")
    deleted, kept = unpublished.add(project, {}, {})
    unpublished.client.retrieve_predictions(project)
    _judged(unpublished, project, 2)

    assert unpublished.label_studio.client.delete(f"/api/tasks/{deleted}/").is_success
    unpublished.run("publisher")
    gone, published = unpublished.wait_until_ended(project, [deleted, kept])

    assert (gone.state, gone.reason) == (State.SKIPPED, "task_deleted")
    assert f"Task {deleted}" in gone.message
    assert published.state is State.PUBLISHED
    assert len(_told(unpublished, "publisher", gone.key)) == 1


def test_a_config_changed_after_judging_is_answered_in_its_own_words(unpublished: Stack) -> None:
    project = unpublished.project("renamed meanwhile")
    (task,) = unpublished.add(project, {})
    unpublished.client.retrieve_predictions(project)
    _judged(unpublished, project, 1)

    renamed = LABEL_CONFIG.replace('value="Tie"', 'value="Equal"').replace('value="Video 1"', 'value="Left"')
    unpublished.client.administration.update_project(project, {"label_config": renamed})
    unpublished.run("publisher")
    (entry,) = unpublished.wait_until_ended(project, [task])

    assert entry.state is State.PUBLISHED, entry.message
    (prediction,) = unpublished.predictions(task)
    judgement = unpublished.ledger.judgement(entry.key)
    assert judgement is not None
    assert labels_of(parse_layout(renamed), prediction["result"]) == judgement.labels


def test_a_deleted_prediction_comes_back_when_it_is_asked_for_and_its_pair_is_judged_once(unpublished: Stack) -> None:
    project = unpublished.project("prediction deleted")
    tasks = unpublished.add(project, {}, {})
    unpublished.client.retrieve_predictions(project)
    unpublished.run("publisher")
    unpublished.wait_until_ended(project, tasks)
    [[deleted], [kept]] = [unpublished.predictions(task) for task in tasks]

    assert unpublished.label_studio.client.delete(f"/api/predictions/{deleted['id']}/").is_success
    unpublished.client.retrieve_predictions(project)
    unpublished.wait(lambda: unpublished.predictions(tasks[0]))
    unpublished.wait_until_ended(project, tasks)

    [again], [untouched] = (unpublished.predictions(task) for task in tasks)
    assert again["result"] == deleted["result"]
    assert again["id"] != deleted["id"]
    assert untouched["id"] == kept["id"]
    _judged(unpublished, project, 2)


def test_a_config_without_a_dimension_fails_the_task_with_the_reason(unpublished: Stack) -> None:
    project = unpublished.project("dimension removed meanwhile")
    (task,) = unpublished.add(project, {})
    unpublished.client.retrieve_predictions(project)
    _judged(unpublished, project, 1)

    unpublished.client.administration.update_project(
        project, {"label_config": LABEL_CONFIG.replace('name="mq"', 'name="flavour"')}
    )
    unpublished.run("publisher")
    (entry,) = unpublished.wait_until_ended(project, [task])

    assert (entry.state, entry.reason) == (State.FAILED, "label_config"), entry.message
    assert "MQ" in entry.message
    assert unpublished.ledger.judgement(entry.key) is not None
    assert len(_told(unpublished, "publisher", entry.key)) == 1


def test_label_studio_down_at_write_back_loses_nothing(unpublished: Stack) -> None:
    project = unpublished.project("down meanwhile")
    tasks = unpublished.add(project, {}, {})
    unpublished.client.retrieve_predictions(project)
    _judged(unpublished, project, 2)

    unpublished.relay.cut()
    unpublished.run("publisher")
    unpublished.wait(lambda: all(_waits(unpublished, project, task) for task in tasks))
    assert all(unpublished.predictions(task) == [] for task in tasks)

    unpublished.relay.mend()
    entries = unpublished.wait_until_ended(project, tasks)

    assert [entry.state for entry in entries] == [State.PUBLISHED] * 2
    assert [len(unpublished.predictions(task)) for task in tasks] == [1, 1]
    assert len(unpublished.lines("worker", " judged ", f"project={project} ")) == 2, "nothing is judged twice"


def _waits(stack: Stack, project: int, task: int) -> bool:
    entry = stack.entry(project, task)
    return entry is not None and (entry.state, entry.reason) == (State.JUDGED, "label_studio_unavailable")


@pytest.mark.browser
def test_an_annotator_finds_the_choices_made_and_what_they_submit_reaches_the_ledger(running: Stack) -> None:
    project = running.project("accepted")
    (task,) = running.add(project, {})
    running.client.retrieve_predictions(project)
    (entry,) = running.wait_until_ended(project, [task])
    judgement = running.ledger.judgement(entry.key)
    assert judgement is not None

    with chromium() as browser, Screen.opened(browser, running.label_studio) as screen:
        screen.open_stream(project)
        streamed = screen.choices()
        screen.open_task(project, task)
        shown = screen.choices()
        screen.picture("main-job")
        stored = screen.submitted(screen.page.get_by_role("button", name="Submit"))

    said = {Dimension.TA: "Text alignment", Dimension.VQ: "Visual quality"}
    said |= {Dimension.MQ: "Motion quality", Dimension.OA: "Overall"}
    names = ("Tie", "Video 1", "Video 2")
    assert shown == {said[dimension]: names[label] for dimension, label in judgement.labels.items()}
    assert streamed == shown
    assert stored["parent_prediction"] == entry.prediction_id

    running.wait(lambda: list(running.ledger.annotations(project)), within_s=30)
    (annotation,) = running.ledger.annotations(project)
    assert (annotation.task, annotation.id, annotation.origin) == (task, stored["id"], "webhook")
    assert annotation.parent_prediction == entry.prediction_id
    assert labels_of(parse_layout(LABEL_CONFIG), annotation.result) == judgement.labels


def test_start_training_exports_what_was_corrected_and_the_status_page_says_so(running: Stack) -> None:
    project = running.project("trained on")
    (task,) = running.add(project, {})
    running.client.retrieve_predictions(project)
    (entry,) = running.wait_until_ended(project, [task])
    (prediction,) = running.predictions(task)
    corrected = [_another_choice(item) for item in prediction["result"]]
    body = {"result": corrected, "parent_prediction": entry.prediction_id, "lead_time": 12.5}
    assert running.label_studio.client.post(f"/api/tasks/{task}/annotations/", json=body).is_success
    running.wait(lambda: list(running.ledger.annotations(project)), within_s=30)

    (backend,) = running.client.administration.ml_backends(project)
    assert running.label_studio.client.post(f"/api/ml/{backend.id}/train").is_success
    running.wait(lambda: [one.state for one in running.ledger.export_requests()] == [ExportState.DONE])

    (request,) = running.ledger.export_requests()
    auth = (running.settings.basic_auth_user, running.settings.basic_auth_pass.get_secret_value())
    page = httpx.get(f"http://127.0.0.1:{running.settings.port}/", auth=auth).text
    assert "Export for retraining" in page
    assert request.folder in page
    (row,) = load_dataset("json", data_files=f"{request.folder}/trl-sft/*.jsonl", split="train")
    assert row["completion"][0]["role"] == "assistant"
    assert all((Path(request.folder) / image).is_file() for image in row["images"])


def _another_choice(item: dict[str, Any]) -> dict[str, Any]:
    """The next choice, where an item is one."""
    choices = ["Video 1", "Tie", "Video 2"]
    if item["type"] != "choices":
        return item
    (chosen,) = item["value"]["choices"]
    return {**item, "value": {"choices": [choices[(choices.index(chosen) + 1) % 3]]}}
