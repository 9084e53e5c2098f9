"""`init`, `preannotate`, `status` and `retry` as a person runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from backend.cli import build_app
from backend.cli.exits import ExitCode, exit_code
from backend.cli.live import duration
from backend.cli.project import default_backend_url
from backend.demo.process import free_port
from backend.errors import (
    LabelConfigError,
    LabelStudioNotFoundError,
    LabelStudioUnauthorizedError,
    NoMatchError,
    QueueError,
    SettingsError,
)
from backend.label_studio.shipped import shipped_config
from backend.ledger import Automatic, Key, Ledger, Project, State
from backend.settings import Settings
from backend.types import Dimension, Judgement, PairwiseTask, Preference, StopCondition, Verdict
from backend.version import model_version
from backend.wire import Failure, Order, Outcome
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio
from tests.unit.requests import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.queue import WorkQueue
    from tests.redis_server import RedisServer
    from tests.unit.label_studio.servers import Served

BACKEND = "http://backend:9090"


@pytest.fixture
def fake() -> FakeLabelStudio:
    video = {"video1": "/a.mp4", "video2": "/b.mp4", "prompt": "a red panda"}
    fake = FakeLabelStudio(tasks={number: {"data": video} for number in (1, 2, 3)})
    fake.project |= {"label_config": CONFIG, "task_number": 3}
    return fake


@pytest.fixture
def settings(
    served: Served,
    redis_server: RedisServer,
    redis_queue: WorkQueue,  # asked for because it empties Redis
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    told = {
        "LABEL_STUDIO_URL": served.url,
        "LABEL_STUDIO_API_KEY": "legacy-token",
        "REDIS_URL": redis_server.url,
        "DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db",
        "MODEL": "double",
        "MODEL_REVISION": "1",
        "BASIC_AUTH_USER": "studio",
        "BASIC_AUTH_PASS": "secret-word",
        "WEBHOOK_SECRET": "hook-secret",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Settings()


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings.database_url.get_secret_value())
    yield ledger
    ledger.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments))


def outcome(settings: Settings, task: int, *, failed: bool = False) -> Outcome:
    version = model_version(settings)
    order = Order(PairwiseTask(1, task, "/a.mp4", "/b.mp4", "a red panda"), version)
    if failed:
        return Outcome(order, failure=Failure("media", "/a.mp4 answers [bold]404", False))
    verdicts = {dimension: Verdict(Preference.VIDEO_1) for dimension in Dimension}
    return Outcome(order, Judgement(version, verdicts, "", StopCondition.ANSWERED, False, (), (), ()))


def told(result: Result) -> Any:  # noqa: ANN401  # JSON
    return json.loads(result.stdout)


@pytest.mark.usefixtures("settings")
def test_init_connects_a_project_and_says_what_comes_next(fake: FakeLabelStudio) -> None:
    result = run("init", "--project", "1", "--backend-url", BACKEND)
    assert result.exit_code == 0
    assert f"connected the ML backend {BACKEND}" in result.stdout
    assert "vrthinker preannotate 1" in result.stdout
    [backend], [hook] = fake.ml_backends, fake.webhooks
    assert (backend["basic_auth_user"], backend["basic_auth_pass"]) == ("studio", "secret-word")
    assert hook["headers"] == {"X-Webhook-Secret": "hook-secret"}
    assert "secret-word" not in result.output
    assert "hook-secret" not in result.output
    assert fake.project["label_config"] == CONFIG


@pytest.mark.usefixtures("settings", "fake")
def test_init_changes_nothing_the_second_time() -> None:
    run("init", "--project", "1", "--backend-url", BACKEND)
    again = told(run("init", "--project", "1", "--backend-url", BACKEND, "--json"))
    assert again["changes"] == []
    assert again["project"] == 1


@pytest.mark.usefixtures("settings")
def test_init_without_an_address_keeps_the_one_that_is_connected(fake: FakeLabelStudio) -> None:
    run("init", "--project", "1", "--backend-url", BACKEND)
    again = told(run("init", "--project", "1", "--json"))
    assert again["changes"] == []
    assert [backend["url"] for backend in fake.ml_backends] == [BACKEND]
    moved = run("init", "--project", "1", "--backend-url", "http://web:9090")
    assert "changed ML backend 1 to 'VR-Thinker' at http://web:9090" in moved.stdout


@pytest.mark.usefixtures("settings")
def test_init_creates_the_project_with_our_labeling_config(fake: FakeLabelStudio) -> None:
    bodies: list[str] = []

    def projects(method: str, path: str) -> tuple[int, Any] | None:
        if path != "/api/projects/":
            return None
        bodies.append(method)
        return (201, {"id": 1}) if method == "POST" else (200, {"results": [], "next": None})

    fake.fail = projects
    result = run("init", "--title", "Pairs", "--backend-url", BACKEND)
    assert result.exit_code == 0
    assert "created project 'Pairs'" in result.stdout
    assert "POST" in bodies


@pytest.mark.usefixtures("settings")
def test_init_leaves_the_config_of_a_project_found_by_its_title(fake: FakeLabelStudio) -> None:
    listed = {"results": [{"id": 1, "title": "Pairs"}], "next": None}
    fake.fail = lambda _method, path: (200, listed) if path == "/api/projects/" else None
    assert run("init", "--title", "Pairs", "--backend-url", BACKEND).exit_code == 0
    assert fake.project["label_config"] == CONFIG


@pytest.mark.usefixtures("settings")
def test_init_sets_the_labeling_config_that_is_given(fake: FakeLabelStudio) -> None:
    run("init", "--project", "1", "--backend-url", BACKEND, "--config", str(shipped_config()))
    assert fake.project["label_config"] == shipped_config().read_text().strip()


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("named", [("--project", "1"), ("--title", "Pairs")])
def test_init_refuses_a_project_that_cannot_be_judged_before_it_changes_anything(
    fake: FakeLabelStudio, named: tuple[str, ...]
) -> None:
    listed = {"results": [{"id": 1, "title": "Pairs"}], "next": None}
    fake.fail = lambda _method, path: (200, listed) if path == "/api/projects/" else None
    fake.project["label_config"] = "<View/>"
    assert isinstance(run("init", *named).exception, LabelConfigError)
    assert all(call.startswith("GET") for call in fake.calls)


@pytest.mark.usefixtures("settings", "fake")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--project", "1", "--title", "Pairs"),
        ("--project", "1", "--config", "nowhere.xml"),
        ("--project", "1", "--backend-url", "web:9090"),
        ("--project", "1", "--import", __file__),
    ],
)
def test_init_says_which_option_is_wrong(arguments: tuple[str, ...]) -> None:
    error = run("init", *arguments).exception
    assert isinstance(error, SettingsError)
    assert arguments[2] in str(error)


@pytest.mark.parametrize(("host", "seen"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("backend", "backend")])  # noqa: S104  # a setting
def test_the_backend_is_looked_for_where_it_listens(host: str, seen: str) -> None:
    settings = Settings(host=host, port=9090, _env_file=None)
    assert default_backend_url(settings) == f"http://{seen}:9090"


def test_preannotate_queues_a_project_once(settings: Settings, ledger: Ledger) -> None:
    first, second = run("preannotate", "1"), run("preannotate", "1", "--json")
    assert "Queued 3 new tasks; 0 were known already; rejected: none." in first.stderr
    assert "No worker of version" in first.stderr
    assert "No publisher is alive" in first.stderr
    assert "No publisher is alive" in run("status").stderr
    assert "Queued 0 new tasks; 3 were known already" in second.stderr
    [one] = told(second)
    assert one["states"]["queued"] == 3
    assert (one["new"], one["known"], one["rejected"]) == (0, 3, {})
    assert ledger.counts(1, model_version(settings))[State.QUEUED] == 3


def test_status_says_which_tasks_wait_for_a_worker_that_is_not_there(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("preannotate", "1")
    said = f"3 tasks wait for version {model_version(settings)}, and no worker of it is alive"
    assert said in run("status").stderr
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port(0)}/0")
    shown = run("status")
    assert (shown.exit_code, ledger.counts(1)[State.QUEUED]) == (0, 3)
    assert "Whether workers are alive is not known. Redis cannot be used" in shown.stderr


def test_preannotate_takes_at_most_so_many(settings: Settings, ledger: Ledger) -> None:
    run("preannotate", "1", "--limit", "2")
    assert ledger.counts(1, model_version(settings))[State.QUEUED] == 2


@pytest.mark.parametrize(("failed", "code"), [(False, 0), (True, 1)])
def test_waiting_ends_with_the_work_and_tells_of_failures(
    settings: Settings, ledger: Ledger, fake: FakeLabelStudio, failed: bool, code: int
) -> None:
    fake.tasks.pop(2)
    fake.tasks.pop(3)
    ledger.record(outcome(settings, 1, failed=failed))
    ledger.skip(1, [] if failed else [1], "gone", "deleted")
    assert run("preannotate", "1", "--wait", "--json").exit_code == code


def test_waiting_tells_what_was_queued_at_once_and_goes_on_telling_where_no_line_can_move(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(range(9))
    error = LabelStudioUnauthorizedError("Check LABEL_STUDIO_API_KEY.")

    def sleep(_seconds: float) -> None:
        look = next(looks)
        if look == 1:
            for task in (1, 2, 3):
                ledger.record(outcome(settings, task))
            mine = Key(1, 1, model_version(settings))
            ledger.postpone(ledger.claim_for_publishing([mine], "publisher-1"), error)
        if look == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("backend.cli.preannotate.time.sleep", sleep)
    monkeypatch.setattr("backend.cli.preannotate.SPEAK_S", 0.0)
    said = run("preannotate", "1", "--wait").stderr
    assert said.index("Queued 3 new tasks") < said.index("3 queued, 0 judged, 0 published")
    assert "0 queued, 3 judged, 0 published, 0 failed, 0 skipped; 1 tried again (label_studio_unauthorized)" in said
    assert said.count("No publisher is alive") == 1
    shown = run("status", "1").stdout
    assert "tried again after" in shown
    assert "LABEL_STUDIO_API_KEY." in shown
    assert told(run("status", "1", "--json"))[0]["delays"][0]["reason"] == "label_studio_unauthorized"


@pytest.mark.usefixtures("settings")
def test_ctrl_c_leaves_the_work_running_and_says_how_to_go_on(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("backend.cli.preannotate.time.sleep", ctrl_c)
    result = run("preannotate", "1", "--wait")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert "vrthinker preannotate 1 --wait" in result.stderr
    assert ledger.counts(1)[State.QUEUED] == 3


@pytest.mark.usefixtures("settings")
def test_preannotate_says_that_it_can_go_on_after_an_error(fake: FakeLabelStudio) -> None:
    fake.fail = lambda _method, path: (401, {"detail": "Invalid token."}) if path == "/api/tasks" else None
    result = run("preannotate", "1")
    assert isinstance(result.exception, LabelStudioUnauthorizedError)
    assert "run vrthinker preannotate 1 again" in result.stderr


@pytest.mark.usefixtures("settings")
def test_preannotate_of_a_project_that_is_not_there(fake: FakeLabelStudio) -> None:
    fake.fail = lambda _method, path: (404, {"detail": "Not found."}) if path == "/api/projects/1/" else None
    assert isinstance(run("preannotate", "1").exception, LabelStudioNotFoundError)


def test_status_shows_counts_and_why_tasks_failed(settings: Settings, ledger: Ledger) -> None:
    ledger.record(outcome(settings, 1, failed=True))
    ledger.record(outcome(settings, 2))
    shown = run("status", "1").stdout
    assert "media" in shown
    assert "[bold]404" in "".join(shown.split()), "a message is text, not markup"
    [one] = told(run("status", "--json"))
    assert one["states"] == {"queued": 0, "judged": 1, "published": 0, "failed": 1, "skipped": 0}
    assert one["failures"][0]["reason"] == "media"


@pytest.mark.usefixtures("settings")
def test_status_of_an_unknown_project_says_what_to_do() -> None:
    assert "vrthinker preannotate 9" in str(run("status", "9").exception)
    assert told(run("status", "--json")) == []


@pytest.mark.usefixtures("settings")
def test_status_of_a_new_ledger_says_where_nothing_was_queued(tmp_path: Path) -> None:
    shown = run("status")
    assert shown.exit_code == 0
    assert f"Nothing was queued yet in sqlite:///{tmp_path}/ledger.db." in shown.stdout


def test_retry_queues_failed_tasks_of_a_reason(settings: Settings, ledger: Ledger) -> None:
    ledger.record(outcome(settings, 1, failed=True))
    assert told(run("retry", "1", "--reason", "engine", "--json"))["retried"] == 0
    assert "1 failed tasks of project 1 get another chance" in run("retry", "1", "--reason", "media").stdout
    assert ledger.counts(1)[State.QUEUED] == 1


def test_retry_takes_all_failed_tasks_or_those_of_a_reason(settings: Settings, ledger: Ledger) -> None:
    ledger.record(outcome(settings, 1, failed=True))
    both = run("retry", "1", "--failed", "--reason", "media")
    assert isinstance(both.exception, SettingsError)
    assert "Give one of the two" in str(both.exception)
    assert ledger.counts(1)[State.FAILED] == 1
    assert told(run("retry", "1", "--failed", "--json"))["retried"] == 1


def test_pausing_is_told_by_status_until_it_is_resumed(settings: Settings, ledger: Ledger) -> None:
    run("preannotate", "1")
    assert "Paused project 1: 3 tasks wait until vrthinker resume 1." in run("pause", "1").stdout
    assert "Paused: nothing new is begun until vrthinker resume 1" in run("status", "1").stdout
    assert told(run("status", "--json"))[0]["paused"] is True
    run("pause")
    assert "Every project is still paused" in run("resume", "1").stdout
    run("pause", "1")
    assert "Still paused by themselves: 1." in run("resume").stdout
    assert told(run("resume", "1", "--json")) == {"project": 1, "paused": False}
    assert told(run("status", "--json"))[0]["paused"] is False


@pytest.mark.parametrize("command", ["preannotate", "status", "retry", "pause", "resume", "cancel", "sync", "doctor"])
def test_there_is_no_project_0(ledger: Ledger, command: str) -> None:
    result = run(command, "0")
    assert result.exit_code == ExitCode.USAGE
    assert "Invalid value for 'PROJECT'" in result.output
    assert not ledger.paused().everything


def test_a_pause_without_redis_says_that_it_is_in_force(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.remember_project(Project(1, "Pairs", CONFIG))
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port(0)}/0")
    result = run("pause", "1")
    assert isinstance(result.exception, QueueError)
    assert ".." not in str(result.exception)
    assert "The ledger has it, so it is in force" in result.stderr
    assert ledger.paused().projects == {1}


@pytest.mark.parametrize("command", ["retry", "pause", "resume", "cancel"])
def test_a_number_mistyped_does_not_look_as_if_all_was_well(ledger: Ledger, command: str) -> None:
    assert "knows no project 77. It knows none yet." in str(run(command, "77").exception)
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    error = run(command, "77").exception
    assert isinstance(error, SettingsError)
    assert "knows no project 77. It knows 7." in str(error)
    assert not ledger.paused().projects


@pytest.mark.usefixtures("settings")
def test_a_reason_mistyped_is_told_with_those_that_there_are() -> None:
    error = run("retry", "1", "--reason", "media_unavailble").exception
    assert isinstance(error, SettingsError)
    assert "'media_unavailble'" in str(error)
    assert "media_unavailable" in str(error)


def test_cancel_gives_up_what_waits(settings: Settings, ledger: Ledger) -> None:
    run("preannotate", "1")
    assert "Cancelled 3 waiting tasks of project 1." in run("cancel", "1").stdout
    assert ledger.counts(1)[State.SKIPPED] == 3
    assert "Queued 3 new tasks" in run("preannotate", "1").stderr
    assert told(run("cancel", "1", "--json"))["cancelled"] == 3


@pytest.mark.usefixtures("settings")
def test_init_switches_auto_mode(ledger: Ledger) -> None:
    connected = ("init", "--project", "1", "--backend-url", BACKEND, "--json")
    assert "tasks after 3 are judged by themselves" in told(run(*connected, "--auto"))["changes"]
    assert told(run(*connected, "--auto"))["changes"] == []
    assert ledger.automatic() == [Automatic(1, after=3, to=3)]
    run("preannotate", "1")
    assert "New tasks are taken in by themselves." in run("status", "1").stdout
    assert told(run(*connected))["changes"] == []
    assert len(told(run(*connected, "--no-auto"))["changes"]) == 1
    assert ledger.automatic() == []


@pytest.mark.usefixtures("settings")
def test_a_filter_that_matches_nothing_ends_with_its_own_exit_code(ledger: Ledger) -> None:
    result = run("preannotate", "1", "--filter", "prompt~blue")
    assert isinstance(result.exception, NoMatchError)
    assert exit_code(result.exception) == ExitCode.NO_MATCH
    assert "again" not in result.stderr
    assert ledger.counts(1)[State.QUEUED] == 0


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
