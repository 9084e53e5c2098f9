"""What Label Studio makes of the web process: how a refusal reaches the person, and what it does with our answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from backend.demo.process import free_port
from backend.ledger import Key, Ledger, State
from backend.settings import Settings
from backend.version import model_version
from tests.integration.conftest import wait_for
from tests.integration.web import MODEL, start_web
from tests.unit.requests import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import LabelStudioHandle

pytestmark = pytest.mark.e2e

BAD_CONFIG = CONFIG.replace('name="vq"', 'name="colour"')
EVERYTHING = {
    "ordering": [],
    "selectedItems": {"all": True, "excluded": []},
    "filters": {"conjunction": "and", "items": []},
}


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def backend_url(tmp_path: Path, database: str) -> Iterator[str]:
    """A web process whose Redis is down: what is asked here, the ledger alone can answer."""
    port, nothing = free_port(0), free_port(0)
    url = f"http://127.0.0.1:{port}"
    process = start_web(tmp_path, PORT=str(port), REDIS_URL=f"redis://127.0.0.1:{nothing}/0", DATABASE_URL=database)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "web.log").read_text()
        try:
            return httpx.get(f"{url}/health").is_success
        except httpx.TransportError:
            return False

    wait_for(answers)
    yield url
    process.kill()
    process.wait(30)


@pytest.fixture
def project(label_studio: LabelStudioHandle) -> int:
    created = label_studio.client.post("/api/projects/", json={"title": "web process", "label_config": CONFIG})
    number: int = created.raise_for_status().json()["id"]
    return number


def connect(studio: LabelStudioHandle, project: int, url: str) -> httpx.Response:
    return studio.client.post("/api/ml/", json={"url": url, "project": project, "title": "vrthinker"})


def change_config(studio: LabelStudioHandle, project: int, config: str) -> None:
    studio.client.patch(f"/api/projects/{project}/", json={"label_config": config}).raise_for_status()


def connected(studio: LabelStudioHandle, project: int) -> dict[str, Any]:
    [backend] = studio.client.get("/api/ml/", params={"project": project}).raise_for_status().json()
    found: dict[str, Any] = backend
    return found


def test_connecting_a_project_with_a_bad_config_shows_the_reason(
    label_studio: LabelStudioHandle, project: int, backend_url: str
) -> None:
    change_config(label_studio, project, BAD_CONFIG)
    refused = connect(label_studio, project, backend_url)
    assert refused.status_code == 400
    [shown] = refused.json()["validation_errors"]["non_field_errors"]
    assert "no choices for VQ (visual quality)" in shown
    assert "<" not in shown


def test_a_config_that_goes_bad_later_is_told_until_it_is_repaired(
    label_studio: LabelStudioHandle, project: int, backend_url: str
) -> None:
    connect(label_studio, project, backend_url).raise_for_status()
    version = model_version(Settings(**MODEL, _env_file=None))  # type: ignore[arg-type]  # pydantic checks the values
    good = connected(label_studio, project)
    assert (good["state"], good["model_version"]) == ("CO", version)
    change_config(label_studio, project, BAD_CONFIG)
    backend = connected(label_studio, project)
    assert backend["state"] == "ER"
    assert "no choices for VQ (visual quality)" in backend["error_message"]
    assert "no choices for VQ" in httpx.get(backend_url).text
    change_config(label_studio, project, CONFIG)
    assert connected(label_studio, project)["state"] == "CO"
    assert "no choices for VQ" not in httpx.get(backend_url).text


def test_asking_for_predictions_queues_every_task_once_and_stores_nothing(
    label_studio: LabelStudioHandle, project: int, backend_url: str, database: str
) -> None:
    connect(label_studio, project, backend_url).raise_for_status()
    data = [{"video1": f"/a{n}.mp4", "video2": f"/b{n}.mp4", "prompt": f"prompt {n} \N{FOX FACE}"} for n in range(3)]
    pairs = [{"data": one} for one in [*data, {**data[0], "prompt": ""}]]
    label_studio.client.post(f"/api/projects/{project}/import", json=pairs).raise_for_status()
    for _ in range(2):
        label_studio.client.post(
            "/api/dm/actions", params={"id": "retrieve_tasks_predictions", "project": project}, json=EVERYTHING
        ).raise_for_status()
    tasks = label_studio.client.get("/api/tasks", params={"project": project, "fields": "all"}).json()["tasks"]
    assert [task["total_predictions"] for task in tasks] == [0, 0, 0, 0]
    ledger = Ledger.open(database)
    counts = ledger.counts(project)
    assert (counts[State.QUEUED], counts[State.FAILED]) == (3, 1)
    entry = ledger.entry(Key(project, tasks[0]["id"], ledger.versions(project)[0].model_version))
    assert entry is not None
    assert entry.task.prompt == data[0]["prompt"]
    ledger.close()


def test_an_annotation_comes_in_by_the_webhook_that_connecting_made(
    label_studio: LabelStudioHandle, project: int, backend_url: str, database: str
) -> None:
    connect(label_studio, project, backend_url).raise_for_status()
    pair = {"data": {"video1": "/a.mp4", "video2": "/b.mp4", "prompt": "a red panda"}}
    label_studio.client.post(f"/api/projects/{project}/import", json=[pair]).raise_for_status()
    [task] = label_studio.client.get("/api/tasks", params={"project": project}).json()["tasks"]
    choice = {"from_name": "ta", "to_name": "video1", "type": "choices", "value": {"choices": ["Tie"]}}
    annotations = f"/api/tasks/{task['id']}/annotations/"
    made = label_studio.client.post(annotations, json={"result": [choice]}).raise_for_status().json()["id"]
    ledger = Ledger.open(database)
    wait_for(lambda: ledger.annotation_ids(project) == {made})
    label_studio.client.delete(f"/api/annotations/{made}/").raise_for_status()
    wait_for(lambda: ledger.annotation_ids(project) == set())
    ledger.close()
