"""Each link is broken once, and the finding says what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import redis
from typer.testing import CliRunner

from backend.bench.clips import Shape, make_clip
from backend.cli import build_app
from backend.demo.process import free_port
from backend.doctor import Finding, examine
from backend.doctor.links import (
    api_key,
    gpus_have_room,
    label_studio_answers,
    ledger_opens,
    orders_have_workers,
    redis_answers,
    redis_evicts_nothing,
    redis_keeps_jobs,
    versions_equal,
    web_answers,
    workers_beat,
)
from backend.doctor.project import backend_connected, connected_once, videos_decode, videos_play
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.project import Target, connect
from backend.label_studio.records import MlBackend
from backend.queue import WorkQueue
from backend.settings import Settings
from backend.types import PairwiseTask
from backend.version import model_version
from backend.wire import Order
from tests.needs import missing
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio, webhook
from tests.unit.requests import CONFIG, live_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.redis_server import RedisServer
    from tests.unit.label_studio.fake_label_studio import Answer
    from tests.unit.label_studio.servers import Served

BACKEND = "http://backend:9090"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Studio(FakeLabelStudio):
    """Label Studio with its health, a user, and a web process beside it at the same address."""

    version = ""
    key_works = True

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:  # noqa: ANN401  # JSON
        match path:
            case "/health":
                return 200, {"status": "UP"}
            case "/versions":
                return 200, {"versions": [self.version]}
            case "/api/current-user/whoami":
                user = {"id": 1, "email": "lead@example.com"}
                return (200, user) if self.key_works else (401, {"detail": "Invalid token."})
        return super()._answer(method, path, query, body)


@pytest.fixture
def fake() -> Studio:
    studio = Studio()
    studio.project |= {"label_config": CONFIG}
    return studio


@pytest.fixture
def settings(served: Served, redis_server: RedisServer, tmp_path: Path, fake: Studio) -> Settings:
    chosen = Settings(
        label_studio_url=served.url,
        label_studio_api_key="legacy-token",
        redis_url=redis_server.url,
        database_url=f"sqlite:///{tmp_path}/ledger.db",
        media_cache_dir=tmp_path / "media",
        media_roots=(tmp_path,),
        model="double",
        model_revision="1",
        webhook_secret="hook-secret",
        _env_file=None,
    )
    fake.version = model_version(chosen)
    return chosen


@pytest.fixture
def queue(redis_queue: WorkQueue) -> WorkQueue:
    """A Redis set up as it should be: some tests here set theirs up otherwise."""
    redis_queue.connection.config_set("appendonly", "yes")
    redis_queue.connection.config_set("maxmemory-policy", "noeviction")
    return redis_queue


@pytest.fixture
def no_queue() -> Iterator[WorkQueue]:
    queue = WorkQueue.connect(Settings(redis_url=f"redis://127.0.0.1:{free_port(0)}/0", _env_file=None))
    yield queue
    queue.connection.close()


@pytest.mark.parametrize(
    ("free", "ok", "said"),
    [
        (None, True, "no worker runs the model on a GPU"),
        (20, True, "20.0 of 24.0 GB free"),
        (0.5, False, "0.5 of 24.0"),
    ],
)
def test_a_gpu_that_is_full_is_told_with_what_helps(free: float | None, ok: bool, said: str) -> None:
    memory = {} if free is None else {"memory_free": int(free * 1e9), "memory_total": 24_000_000_000}
    finding = gpus_have_room([live_worker(name="gpu-0", device="cuda:0", **memory)])
    assert (finding.ok, bool(finding.advice)) == (ok, not ok)
    assert said in finding.said


def assert_fails(finding: Finding, *, said: str, advice: str) -> None:
    assert not finding.ok
    assert said in finding.said
    assert advice in finding.advice


def test_label_studio_that_answers(served: Served) -> None:
    assert label_studio_answers(served.url).ok
    assert "authorization" not in served.requests[0].headers


def test_label_studio_that_does_not_answer() -> None:
    finding = label_studio_answers(f"http://127.0.0.1:{free_port(0)}")
    assert_fails(finding, said="no answer (ConnectError", advice="LABEL_STUDIO_URL")


def test_a_key_is_told_by_its_kind_and_user(client: LabelStudioClient) -> None:
    assert api_key(client, "legacy-token") == Finding("API key", True, "legacy token of lead@example.com")


@pytest.mark.parametrize(("key", "kind"), [("legacy-token", "off by default"), ("a.b.c", "personal access token")])
def test_a_key_that_is_refused(client: LabelStudioClient, fake: Studio, key: str, kind: str) -> None:
    fake.key_works = False
    assert_fails(api_key(client, key), said="HTTP 401", advice=kind)


def test_a_key_that_is_not_set(served: Served) -> None:
    finding = api_key(LabelStudioClient(served.url, ""), "")
    assert_fails(finding, said="no usable API key", advice="LABEL_STUDIO_API_KEY")
    assert "legacy" not in finding.said + finding.advice


def test_a_key_of_something_that_is_not_label_studio(client: LabelStudioClient, fake: Studio) -> None:
    fake.fail = lambda _method, _path: (404, {"detail": "Not found."})
    assert_fails(api_key(client, "legacy-token"), said="HTTP 404", advice="LABEL_STUDIO_URL")


def test_the_ledger(settings: Settings, tmp_path: Path) -> None:
    assert ledger_opens(settings).said == f"sqlite:///{tmp_path}/ledger.db knows 0 projects"
    broken = settings.model_copy(update={"database_url": Settings(database_url=f"sqlite:///{tmp_path}").database_url})
    assert_fails(ledger_opens(broken), said="unable to open", advice="DATABASE_URL")


def test_a_redis_that_keeps_everything(queue: WorkQueue) -> None:
    findings = [redis_answers(queue), redis_keeps_jobs(queue), redis_evicts_nothing(queue)]
    assert [one.ok for one in findings] == [True, True, True]


@pytest.mark.parametrize("check", [redis_answers, redis_keeps_jobs, redis_evicts_nothing])
def test_no_redis(no_queue: WorkQueue, check: Any) -> None:  # noqa: ANN401  # a check
    assert_fails(
        check(no_queue), said="Redis cannot be used", advice="REDIS_URL" if check is redis_answers else "Mend Redis"
    )


def test_a_redis_that_forgets(queue: WorkQueue) -> None:
    queue.connection.config_set("appendonly", "no")
    assert_fails(redis_keeps_jobs(queue), said="append-only file is off", advice="--appendonly yes")


def test_a_redis_that_evicts(queue: WorkQueue) -> None:
    queue.connection.config_set("maxmemory-policy", "allkeys-lru")
    assert_fails(redis_evicts_nothing(queue), said="allkeys-lru", advice="noeviction")


class Workers(WorkQueue):
    """A queue whose workers the test names."""

    def __init__(self, *workers: Any) -> None:  # noqa: ANN401  # worker records
        super().__init__(redis.Redis(), judge_timeout_s=1)
        self.live = list(workers)

    def workers(self) -> list[Any]:
        return self.live


def test_workers_that_live_and_agree() -> None:
    both = Workers(live_worker(name="a", heartbeat=NOW), live_worker(name="b", role="publish", heartbeat=NOW))
    assert [one.ok for one in workers_beat(both, "tiny-1")] == [True, True, True, True]


def test_workers_that_live_by_another_clock() -> None:
    behind = NOW - timedelta(minutes=5)
    both = Workers(live_worker(name="a", heartbeat=behind), live_worker(name="b", role="publish", heartbeat=behind))
    assert [one.ok for one in workers_beat(both, "tiny-1")] == [True, True, True, True]


def test_workers_that_are_silent() -> None:
    worker, publisher = workers_beat(Workers(), "tiny-1")
    assert_fails(worker, said="0 alive", advice="vrthinker worker")
    assert_fails(publisher, said="0 alive", advice="vrthinker publisher")


def test_workers_that_cannot_be_asked_for(no_queue: WorkQueue) -> None:
    [finding] = workers_beat(no_queue, "tiny-1")
    assert_fails(finding, said="Redis cannot be used", advice="Redis")


def test_workers_of_another_version_only() -> None:
    workers = [live_worker(name="b", model_version="tiny-0")]
    assert_fails(versions_equal(workers, "tiny-1"), said="tiny-1 here, tiny-0 in workers", advice="MODEL")


def test_workers_of_another_version_beside_one_of_ours() -> None:
    finding = versions_equal([live_worker(name="a"), live_worker(name="b", model_version="tiny-0")], "tiny-1")
    assert finding.ok
    assert finding.said == "tiny-1 here and in workers; tiny-0 in others"


def test_orders_of_a_version_without_a_worker(queue: WorkQueue, no_queue: WorkQueue) -> None:
    assert orders_have_workers(queue).ok
    queue.enqueue([Order(PairwiseTask(1, 2, "/a.mp4", "/b.mp4", "a dog runs"), "tiny-0")])
    assert_fails(orders_have_workers(queue), said="1 for tiny-0", advice="vrthinker worker")
    assert_fails(orders_have_workers(no_queue), said="Redis cannot be used", advice="Redis")


def test_a_web_process_of_this_version(served: Served, settings: Settings) -> None:
    assert web_answers(served.url, settings).ok


@pytest.mark.parametrize(
    ("answer", "said", "advice"),
    [
        ((401, {"detail": "Who are you?"}), "HTTP 401", "BASIC_AUTH_PASS"),
        ((503, {"detail": "Its Redis"}), "HTTP 503", "vrthinker web"),
        ((200, {"versions": ["another"]}), "another", "MODEL"),
    ],
)
def test_a_web_process_that_answers_something_else(
    served: Served, settings: Settings, fake: Studio, answer: Answer, said: str, advice: str
) -> None:
    fake.fail = lambda _method, path: answer if path == "/versions" else None
    assert_fails(web_answers(served.url, settings), said=said, advice=advice)


def test_no_web_process(settings: Settings) -> None:
    assert_fails(web_answers(f"http://127.0.0.1:{free_port(0)}", settings), said="no answer", advice="vrthinker web")


def test_a_project_that_is_connected_once(client: LabelStudioClient, settings: Settings) -> None:
    connect(client, Target(BACKEND, webhook_secret="hook-secret"), project=1)
    assert [one.ok for one in connected_once(client, settings, 1, BACKEND)] == [True, True]


def test_a_project_that_is_not_connected(client: LabelStudioClient, settings: Settings) -> None:
    [finding] = connected_once(client, settings, 1, BACKEND)
    assert_fails(finding, said="connected 0 times", advice="vrthinker init --project 1 --backend-url URL")


def test_a_project_that_was_connected_by_hand_under_a_title_of_its_own(
    client: LabelStudioClient, settings: Settings, fake: Studio
) -> None:
    client.administration.create_ml_backend(1, "http://web:9090", "my model", None)
    fake.ml_backends[0]["model_version"] = fake.version
    backend, hook = connected_once(client, settings, 1, "http://127.0.0.1:9090")
    assert (backend.ok, backend.said) == (True, "http://web:9090 is connected")
    assert_fails(hook, said="with other settings", advice="init --project 1 --backend-url http://web:9090 mends it.")


def test_a_project_that_is_connected_twice(client: LabelStudioClient, settings: Settings, fake: Studio) -> None:
    connect(client, Target(BACKEND, webhook_secret="hook-secret"), project=1)
    fake.ml_backends.append({**fake.ml_backends[0], "id": 2, "title": "by hand"})
    [finding, _] = connected_once(client, settings, 1, BACKEND)
    assert_fails(finding, said="connected 2 times", advice="vrthinker init --project 1")


def test_a_backend_that_label_studio_does_not_reach() -> None:
    backend = MlBackend(1, BACKEND, 1, "VR-Thinker", state="ER", error_message="timed out")
    assert_fails(backend_connected([backend], "Mend it."), said="timed out", advice="SSRF_PROTECTION")


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ([], "0 to"),
        ([webhook(1, f"{BACKEND}/webhook")], "with other settings"),
        ([webhook(1, f"{BACKEND}/webhook"), webhook(2, f"{BACKEND}/webhook")], "2 to"),
    ],
)
def test_a_webhook_that_is_not_there_just_once_as_it_should_be(
    client: LabelStudioClient, settings: Settings, fake: Studio, hooks: list[dict[str, Any]], said: str
) -> None:
    connect(client, Target(BACKEND, webhook_secret="hook-secret"), project=1)
    fake.webhooks = hooks
    [_, finding] = connected_once(client, settings, 1, BACKEND)
    assert_fails(finding, said=said, advice="vrthinker init --project 1")


def test_a_project_whose_connection_may_not_be_seen(
    client: LabelStudioClient, settings: Settings, fake: Studio
) -> None:
    fake.fail = lambda _method, path: (403, {"detail": "No."}) if path.startswith("/api/ml") else None
    [finding] = connected_once(client, settings, 1, BACKEND)
    assert_fails(finding, said="HTTP 403", advice="vrthinker init")


def test_videos_that_play(client: LabelStudioClient, settings: Settings, fake: Studio, tmp_path: Path) -> None:
    if find_spec("imageio_ffmpeg") is None:
        missing("imageio-ffmpeg is not installed")
    video = make_clip("h264", tmp_path, Shape(frames=120, width=64, height=48, fps=24))
    fake.tasks = {5: {"data": {"video1": str(video), "video2": str(video), "prompt": "a red panda"}}}
    fetched, decoded = videos_play(client, settings, 1)
    assert fetched.ok, fetched
    assert decoded.said == "120 frames of 64 x 48 and 120 frames of 64 x 48"


def test_videos_that_are_not_there(client: LabelStudioClient, settings: Settings, fake: Studio, tmp_path: Path) -> None:
    fake.tasks = {5: {"data": {"video1": f"{tmp_path}/no.mp4", "video2": f"{tmp_path}/no.mp4", "prompt": "a panda"}}}
    [finding] = videos_play(client, settings, 1)
    assert_fails(finding, said="no.mp4", advice="MEDIA_ROOTS")


def test_a_project_without_tasks(client: LabelStudioClient, settings: Settings) -> None:
    [finding] = videos_play(client, settings, 1)
    assert_fails(finding, said="no tasks yet", advice="Import tasks in Label Studio")


def test_a_labeling_config_that_cannot_be_read_is_no_matter_of_media(
    client: LabelStudioClient, settings: Settings, fake: Studio
) -> None:
    fake.project |= {"label_config": "<View/>"}
    [finding] = videos_play(client, settings, 1)
    assert_fails(finding, said="choices", advice="")
    assert finding.advice == ""


def test_files_that_are_no_videos(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"not a video at all")
    assert_fails(videos_decode(file, file, settings), said="a.mp4", advice="MP4")


def test_a_machine_without_opencv(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "backend.frames", None)
    assert_fails(videos_decode(tmp_path, tmp_path, settings), said="not tried", advice="vrthinker[frames]")


def test_a_project_is_not_looked_at_with_a_key_that_is_refused(
    client: LabelStudioClient, settings: Settings, queue: WorkQueue, served: Served, fake: Studio
) -> None:
    fake.key_works = False
    findings = list(examine(settings, client, queue, web_url=served.url, project=1))
    assert findings[-1].name == "project 1"
    assert not findings[-1].ok


@pytest.mark.usefixtures("queue")
def test_the_command_ends_with_1_and_the_list_of_what_is_wrong(
    settings: Settings, served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("label_studio_url", "label_studio_api_key", "redis_url", "database_url", "model", "model_revision")
    for name in names:
        value = getattr(settings, name)
        monkeypatch.setenv(name.upper(), value if isinstance(value, str) else value.get_secret_value())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(build_app(), ["doctor", "--json", "--backend-url", served.url])
    assert result.exit_code == 1
    wrong = [one["name"] for one in json.loads(result.stdout) if not one["ok"]]
    assert wrong == ["GPU workers", "publisher"]
    shown = CliRunner().invoke(build_app(), ["doctor", "--backend-url", served.url]).stdout
    assert "ok   API key: legacy token of lead@example.com" in shown
    assert "FAIL GPU workers: 0 alive\n     -> Start vrthinker worker" in shown
