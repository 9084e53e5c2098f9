"""What a project manager relies on in a real Label Studio: filters, the tab that sorts by score, imports, auto mode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import NoMatchError
from backend.intake import LedgerIntake
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.importing import PairImport, Places, import_tasks
from backend.label_studio.layout import parse_layout
from backend.label_studio.pairs import read_rows
from backend.label_studio.project import LEAST_CERTAIN
from backend.label_studio.records import NewPrediction
from backend.label_studio.selection import parse_selection
from backend.ledger import State
from backend.preannotate import take_in
from backend.worker.auto import AutoIntake
from tests.e2e.stack import stack_around
from tests.unit.requests import CONFIG, FakeQueue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.ledger import Ledger
    from tests.e2e.conftest import LabelStudioHandle
    from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e

VERSION = "tiny-1"
SCORES = (0.91, 0.35, None, 0.62)


def pair(number: int, **more: object) -> dict[str, Any]:
    return {"video1": f"/{number}a.mp4", "video2": f"/{number}b.mp4", "prompt": f"a red panda, take {number}", **more}


@pytest.fixture
def client(label_studio: LabelStudioHandle) -> Iterator[LabelStudioClient]:
    client = LabelStudioClient(label_studio.url, label_studio.personal_access_token)
    yield client
    client.close()


@pytest.fixture
def project(client: LabelStudioClient) -> int:
    return client.administration.create_project({"title": "Pairs of May", "label_config": CONFIG})


def queued(client: LabelStudioClient, ledger: Ledger, project: int, *conditions: str) -> list[int]:
    queue = FakeQueue()
    list(take_in(client, ledger, queue, VERSION, project, selection=parse_selection(conditions)))
    return queue.waiting


def test_each_filter_means_what_it_says(
    label_studio: LabelStudioHandle, client: LabelStudioClient, ledger: Ledger, project: int
) -> None:
    data = [pair(1, set="may", take=1), pair(2, set="june", take=2), pair(3, set="may", take=3)]
    first, second, third = client.administration.import_tasks(project, [{"data": one} for one in data])
    choice = {"from_name": "ta", "to_name": "video1", "type": "choices", "value": {"choices": ["Tie"]}}
    made = label_studio.client.post(f"/api/tasks/{third}/annotations/", json={"result": [choice]})
    assert made.is_success
    client.administration.create_tab(project, "June", ())
    view = {"title": "June", "filters": {"conjunction": "or", "items": [june("equal"), june("contains")]}}
    answer = label_studio.client.post("/api/dm/views/", json={"project": project, "data": view})
    tab = answer.json()["id"]
    for conditions, tasks in (
        (("set=june",), [second]),
        (("set!=june", "annotated=no"), [first]),
        (("annotated=yes",), [third]),
        ((f"id={second}-{third}", f"id={first},{second}"), []),
        ((f"tab={tab}",), []),
    ):
        assert queued(client, ledger, project, *conditions) == tasks, conditions
    assert ledger.counts(project)[State.QUEUED] == 3
    ledger.forget(project)
    assert queued(client, ledger, project, f"tab={tab}") == [second]
    assert queued(client, ledger, project, "take=1") == [first]
    assert queued(client, ledger, project, "take!=1", f"id={first},{third}") == [third]
    ledger.forget(project)
    assert queued(client, ledger, project, "prompt~take 3") == [third]
    with pytest.raises(NoMatchError, match="prompt, set, take, video1, video2"):
        queued(client, ledger, project, "set=july")


def june(operator: str) -> dict[str, str]:
    return {"filter": "filter:tasks:data.set", "operator": operator, "type": "String", "value": "june"}


@pytest.mark.browser
def test_the_saved_tab_shows_the_least_certain_tasks_first(
    label_studio: LabelStudioHandle, client: LabelStudioClient, project: int, screen: Screen
) -> None:
    tasks = client.administration.import_tasks(project, [{"data": pair(number)} for number in range(1, 5)])
    for task, score in zip(tasks, SCORES, strict=True):
        if score is not None:
            client.create_prediction(NewPrediction(task, VERSION, (), score))
    client.administration.create_tab(project, "Default", ())
    client.administration.create_tab(project, LEAST_CERTAIN, ("tasks:predictions_score",))
    client.set_model_version(project, VERSION)
    views = label_studio.client.get("/api/dm/views/", params={"project": project}).json()
    [tab] = [view["id"] for view in views if view["data"]["title"] == LEAST_CERTAIN]
    listed = label_studio.client.get("/api/tasks", params={"project": project, "view": tab, "fields": "all"}).json()
    scored = [task["id"] for task in listed["tasks"] if task["total_predictions"]]
    assert scored == [tasks[1], tasks[3], tasks[0]]
    screen.page.goto(f"{label_studio.url}/projects/{project}/data?tab={tab}", wait_until="commit")
    screen.page.get_by_text("take 2").first.wait_for()
    shown = screen.page.locator(".lsf-table__row-wrapper, .dm-table__row-wrapper, [class*=table__row-wrapper]")
    assert shown.count() >= 4
    screen.picture("least-certain-first")


def test_a_file_is_imported_once_into_a_real_project(client: LabelStudioClient, project: int, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps(pair(number, video1="s3://b/a.mp4")) for number in range(1, 1203)))
    pairs = PairImport(parse_layout(CONFIG), Places(None))
    for expected in (1202, 0):
        present = pairs.present(client, project)
        assert sum(import_tasks(client, project, pairs.new(read_rows(file), (), present))) == expected
    assert client.project(project).task_number == 1202


def test_the_webhook_of_a_connected_project_queues_new_tasks(label_studio: LabelStudioHandle, tmp_path: Path) -> None:
    with stack_around(label_studio, tmp_path, reconcile_s=3600) as stack:
        project = stack.project("auto mode")
        assert LEAST_CERTAIN in stack.client.administration.tabs(project)
        stack.ledger.take_automatically(project, after=0)
        (task,) = stack.add(project, {})
        stack.wait(lambda: stack.entry(project, task), within_s=60)
        assert stack.ledger.counts(project)[State.QUEUED] == 1


def test_tasks_that_no_webhook_told_of_are_taken_in(client: LabelStudioClient, ledger: Ledger, project: int) -> None:
    queue = FakeQueue()
    auto = AutoIntake(ledger, client, LedgerIntake(ledger, queue, VERSION))
    client.administration.import_tasks(project, [{"data": pair(1)}])
    ledger.take_automatically(project, after=client.newest_task(project))
    assert auto.run() == 0
    new = client.administration.import_tasks(project, [{"data": pair(2)}, {"data": pair(3)}])
    assert [auto.run(), auto.run()] == [2, 0]
    assert tuple(queue.waiting) == new
