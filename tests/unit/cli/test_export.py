"""`export` and `sync` as a person runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from backend.cli import build_app
from backend.cli.exits import ExitCode, exit_code
from backend.errors import LabelStudioNotFoundError, NothingToExportError, SettingsError, VRThinkerError
from backend.ledger import Ledger, Project
from tests.unit.export.people import MQ, PROJECT, TA, VIDEO_1, People
from tests.unit.export.test_dataset import rows
from tests.unit.export.videos import Studio
from tests.unit.label_studio.configs import FULL
from tests.unit.label_studio.fake_label_studio import MOMENT, FakeLabelStudio
from tests.unit.label_studio.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.label_studio.fake_label_studio import Answer


@pytest.fixture
def fake() -> FakeLabelStudio:
    fake = FakeLabelStudio()
    fake.project |= {"label_config": FULL, "title": "Pairs of May"}
    return fake


@pytest.fixture
def people(fake: FakeLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    """A ledger with two tasks and three answers, and the settings that lead to it."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger.open(url)
    with serving(fake) as server:
        told = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": "legacy-token", "DATABASE_URL": url}
        for name, value in (told | {"MEDIA_ROOTS": str(tmp_path)}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        people = People(ledger)
        people.task(1, prompt="prompt 1")
        people.task(2, prompt="prompt 2")
        people.answer(1, {TA: VIDEO_1})
        people.answer(2)
        people.answer(2, {MQ: VIDEO_1}, user=2)
        yield people
    ledger.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments))


def told(result: Result) -> Any:  # noqa: ANN401  # JSON
    return json.loads(result.stdout)


@pytest.mark.usefixtures("people")
def test_export_says_what_it_wrote_and_where(tmp_path: Path) -> None:
    result = run("export", str(PROJECT), "--out", "may")
    assert result.exit_code == 0
    assert "may: 3 answers to 2 tasks, 2 of them different from the model's." in result.stdout
    assert len(rows(tmp_path / "may")) == 3


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--only", "disagreements"), ["7-1-1", "7-2-3"]),
        (("--only", "disagreements", "--dimension", "MQ"), ["7-2-3"]),
        (("--only", "disagreements", "--dimension", "MQ", "--dimension", "TA"), ["7-1-1", "7-2-3"]),
        (("--only", "agreements"), ["7-2-2"]),
        (("--annotator", "2"), ["7-2-3"]),
        (("--since", "2026-05-01T11:03:00+02:00"), ["7-2-3"]),
        (("--since", "2026-05-01"), ["7-1-1", "7-2-2", "7-2-3"]),
        (("--only", "disagreements", "--min-confidence", "0.9"), ["7-2-3"]),
    ],
)
def test_options_choose_the_answers(tmp_path: Path, options: tuple[str, ...], found: list[str]) -> None:
    result = run("export", str(PROJECT), "--out", "set", "--json", *options)
    assert [row["id"] for row in rows(tmp_path / "set")] == found
    assert told(result)["counts"]["records"] == len(found)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--since", "yesterday"), 2, "--since is 'yesterday'"),
        (("--formats", "trl"), 2, "no format 'trl'"),
        (("--formats", "trl-sft"), 2, "Add --frames"),
        (("--annotator", "nobody"), 7, "nothing to export"),
    ],
)
def test_what_cannot_be_exported_ends_with_a_reason_and_no_folder(
    tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    error = run("export", str(PROJECT), "--out", "set", *options).exception
    assert isinstance(error, VRThinkerError)
    assert exit_code(error) == code
    assert words in str(error)
    assert not (tmp_path / "set").exists()


@pytest.mark.usefixtures("people")
def test_since_last_exports_each_answer_once() -> None:
    assert run("export", str(PROJECT), "--out", "one", "--since", "last").exit_code == 0
    assert isinstance(run("export", str(PROJECT), "--out", "two", "--since", "last").exception, NothingToExportError)


@pytest.mark.usefixtures("people")
def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("backend.export.dataset.add_line", ctrl_c)
    result = run("export", str(PROJECT), "--out", "set")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert "nothing was written" in result.stderr
    assert [path.name for path in tmp_path.iterdir() if "set" in path.name] == []


@pytest.mark.usefixtures("people")
def test_names_are_asked_of_label_studio(fake: FakeLabelStudio, tmp_path: Path) -> None:
    users = [{"id": 1, "email": "ann@example.org", "username": "ann"}, {"id": 2, "email": "", "username": "bob"}]
    fake.fail = lambda _method, path: (200, users) if path == "/api/users/" else None
    assert run("export", str(PROJECT), "--out", "set", "--names").exit_code == 0
    assert [row["annotator"] for row in rows(tmp_path / "set")] == ["ann@example.org", "ann@example.org", "bob"]


def test_frames_bring_examples_for_trainers(people: People, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    studio = Studio(tmp_path / "clips")
    people.task(3, studio.judged(prompt="a dog"), prompt="a dog", videos=studio.references)
    people.answer(3, {MQ: VIDEO_1})
    result = run("export", str(PROJECT), "--out", "set", "--frames", "--only", "disagreements", "--dimension", "MQ")
    assert result.exit_code == 0
    assert "1 training examples (1 labels_only), 1 with two replies." in result.stdout
    assert "No examples: 1 no_pictures." in result.stdout
    assert "1 records have problems" in result.stdout
    assert (tmp_path / "set" / "trl-sft" / "train.jsonl").exists()


def listed(*tasks: int) -> list[dict[str, Any]]:
    """Tasks with one annotation each, as the Data Manager lists them."""
    annotation = {
        "result": [], "completed_by": 1, "parent_prediction": None, "was_cancelled": False, "lead_time": 1.0,
        "created_at": MOMENT, "updated_at": MOMENT,
    }  # fmt: skip
    return [
        {"id": task, "updated_at": MOMENT, "annotations": [{"id": task * 100, "task": task, **annotation}]}
        for task in tasks
    ]


def lists(*tasks: int) -> Any:  # noqa: ANN401  # a function
    def answer(_method: str, path: str) -> Answer | None:
        return (200, {"tasks": listed(*tasks), "total": len(tasks)}) if path == "/api/tasks" else None

    return answer


def test_sync_fetches_everything_and_notices_what_is_gone(people: People, fake: FakeLabelStudio) -> None:
    people.ledger.remember_project(Project(1, "", FULL))
    fake.fail = lists(8, 9)
    [first] = told(run("sync", "1", "--json"))
    assert (first["project"], first["annotations"], first["deleted"]) == (1, 2, 0)
    assert people.ledger.annotation_ids(1) == {800, 900}
    fake.fail = lists(9)
    result = run("sync", "1")
    assert "Project 1: 1 annotations in " in result.stdout
    assert "1 are gone" in result.stdout
    assert people.ledger.annotation_ids(1) == {900}
    assert people.ledger.project(1) == Project(1, "Pairs of May", FULL)


@pytest.mark.usefixtures("people")
def test_sync_of_a_project_that_is_not_there(fake: FakeLabelStudio) -> None:
    fake.fail = lambda _method, path: (404, {"detail": "Not found."}) if path.startswith("/api/projects/") else None
    assert isinstance(run("sync", "9").exception, LabelStudioNotFoundError)


def test_sync_of_nothing_known_says_what_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    monkeypatch.chdir(tmp_path)
    error = run("sync").exception
    assert isinstance(error, SettingsError)
    assert "vrthinker sync PROJECT" in str(error)
