"""The model class works under both generations of label-studio-ml, and decides nothing itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import LabelConfigError
from backend.label_studio.plugin import MAX_ID, plugin_class, project_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask.testing import FlaskClient

CONFIG = '<View><Video name="video1" value="$video1"/></View>'
TASKS = [{"id": 1, "project": 7, "data": {}}, {"id": 2, "project": 7, "data": {}}]
CREDENTIALS = {"login": None, "password": None}


class FakeIntake:
    """Remembers what it was told; refuses the config "bad"."""

    model_version = "tiny-1"

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def setup(self, project: int | None, label_config: str) -> None:
        if label_config == "bad":
            raise LabelConfigError("no choices for VQ")
        self.told.append(("setup", project, label_config))

    def accept(
        self, project: int | None, label_config: str, tasks: Sequence[object], *, context: object = None
    ) -> list[list[dict[str, Any]]]:
        self.told.append(("accept", project, label_config, len(tasks), context))
        return [[] for _ in tasks]

    def hear(self, event: str, data: Mapping[str, Any]) -> None:
        self.told.append(("hear", event, dict(data)))


class Library2Double:
    """A double of what label-studio-ml 2.x's base class does with a subclass: its values go through a shared cache."""

    cache: dict[tuple[str, str], str] = {}  # noqa: RUF012  # shared by all models, as there

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        if label_config is not None and self.get("label_config") != label_config:
            self.set("label_config", label_config)
        if not self.get("model_version"):
            self.set("model_version", "0.0.1")
        self.setup()

    def setup(self) -> None: ...

    def get(self, key: str) -> str | None:
        return self.cache.get((self.project_id, key))

    def set(self, key: str, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"the cache takes strings, not {value!r}")
        self.cache[self.project_id, key] = value

    @property
    def label_config(self) -> str | None:
        return self.get("label_config")


class Host2Double:
    """A double of label-studio-ml 2.x's server: one model object per request, called the way that server calls it."""

    def __init__(self, model_class: Callable[..., Any]) -> None:
        self._model_class = model_class

    def setup(self, project: str, schema: str, extra_params: object) -> str:
        model = self._model_class(project_id=project.split(".", 1)[0], label_config=schema)
        if extra_params:
            model.set_extra_params(extra_params)
        version: str = model.get("model_version")
        return version

    def predict(self, project: str, label_config: str, tasks: list[Any], params: dict[str, Any]) -> Any:  # noqa: ANN401
        context = params.pop("context", {})
        model = self._model_class(project_id=project.split(".", 1)[0], label_config=label_config)
        return model.predict(tasks, context=context, **params)

    def webhook(self, project: int, label_config: str, event: str, data: dict[str, Any]) -> Any:  # noqa: ANN401
        return self._model_class(str(project), label_config=label_config).fit(event, data)


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def host_2(intake: FakeIntake, monkeypatch: pytest.MonkeyPatch) -> Host2Double:
    library = ModuleType("label_studio_ml.model")
    library.LabelStudioMLBase = Library2Double  # type: ignore[attr-defined]  # what the plugin imports from there
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", library)
    monkeypatch.setattr(Library2Double, "cache", {})
    return Host2Double(plugin_class(intake))


@pytest.fixture
def host_1(intake: FakeIntake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """The real server of label-studio-ml 1.0.9."""
    from label_studio_ml import api
    from label_studio_ml.model import LabelStudioMLManager

    monkeypatch.setattr(LabelStudioMLManager, "_current_model", {})
    client: FlaskClient = api.init_app(plugin_class(intake), model_dir=str(tmp_path)).test_client()
    return client


def test_the_server_of_1_0_9_sets_up_and_predicts_with_it(host_1: FlaskClient, intake: FakeIntake) -> None:
    request = {"project": "7.1795331242", "schema": CONFIG, "hostname": "http://ls", "access_token": "t0ken"}
    assert host_1.post("/setup", json=request).status_code == 200
    answer = host_1.post(
        "/predict", json={"tasks": TASKS, "label_config": CONFIG, "params": {**CREDENTIALS, "context": {"x": 1}}}
    )
    assert answer.get_json()["results"] == [[], []]
    assert intake.told == [("setup", None, CONFIG), ("accept", None, CONFIG, 2, {"x": 1})]


def test_the_job_of_1_0_9_passes_on_what_a_webhook_said(intake: FakeIntake) -> None:
    model = plugin_class(intake)(label_config=CONFIG, train_output={})
    model.process_event("ANNOTATION_CREATED", {"annotation": {}}, "1795331242", {"workdir": "somewhere"})
    assert intake.told[-1] == ("hear", "ANNOTATION_CREATED", {"annotation": {}})


def test_the_access_token_that_1_0_9_hands_over_is_kept_nowhere(intake: FakeIntake) -> None:
    model = plugin_class(intake)(label_config=CONFIG, hostname="http://ls", access_token="t0ken")
    assert "t0ken" not in repr(vars(model))


def test_the_server_of_2_x_is_told_our_version(host_2: Host2Double, intake: FakeIntake) -> None:
    assert host_2.setup("7.1795331242", CONFIG, {"k": "v"}) == "tiny-1"
    assert ("setup", 7, CONFIG) in intake.told


def test_the_server_of_2_x_predicts_with_it(host_2: Host2Double, intake: FakeIntake) -> None:
    assert host_2.predict("7.1795331242", CONFIG, TASKS, {**CREDENTIALS, "context": None}) == [[], []]
    assert intake.told[-1] == ("accept", 7, CONFIG, 2, None)


def test_the_server_of_2_x_passes_on_what_a_webhook_said(host_2: Host2Double, intake: FakeIntake) -> None:
    assert host_2.webhook(7, CONFIG, "ANNOTATION_UPDATED", {"annotation": {}}) == {}
    assert intake.told[-1] == ("hear", "ANNOTATION_UPDATED", {"annotation": {}})


def test_nothing_reaches_the_cache_that_2_x_keeps_on_disk(host_2: Host2Double) -> None:
    host_2.setup("7", CONFIG, {"secret": "t0ken"})
    assert Library2Double.cache == {}


@pytest.mark.parametrize("arguments", [{"label_config": "bad"}, {"project_id": "7", "label_config": "bad"}])
def test_a_config_that_the_intake_refuses_makes_no_model(intake: FakeIntake, arguments: dict[str, str]) -> None:
    with pytest.raises(LabelConfigError, match="no choices for VQ"):
        plugin_class(intake)(**arguments)


def test_a_config_that_only_the_library_refuses_is_a_labeling_config_error_too(intake: FakeIntake) -> None:
    with pytest.raises(LabelConfigError, match="cannot read the labeling config"):
        plugin_class(intake)(project_id="7", label_config='<View><Choices name="ta" toName="')


@pytest.mark.parametrize(
    ("project", "number"),
    [
        (7, 7),
        ("7", 7),
        ("7.1795331242", 7),
        (MAX_ID, MAX_ID),
        (0, None),
        (-7, None),
        (MAX_ID + 1, None),
        (True, None),
        (7.0, None),
        ("٧", None),
        ("7" * 5000, None),
        ("", None),
        (".7", None),
        ("seven", None),
        (None, None),
        ({"id": 7}, None),
        ([7], None),
    ],
)
def test_a_project_is_known_by_its_number(project: object, number: int | None) -> None:
    assert project_number(project) == number


def test_the_library_is_imported_without_torch_which_can_still_be_imported_afterwards() -> None:
    check = (
        "import importlib.util, json, sys\n"
        "from backend.label_studio.plugin import plugin_class\n"
        "plugin_class(None)\n"
        "loaded = [name in sys.modules for name in ('label_studio_ml.model', 'torch')]\n"
        "print(json.dumps([*loaded, importlib.util.find_spec('torch') is not None]))\n"
    )
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [True, False, True]
