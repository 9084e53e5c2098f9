"""A real web process, waitress and all, with a real Redis behind it."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from backend.demo.process import free_port
from backend.ledger import Key, Ledger, State
from backend.queue import WorkQueue
from backend.settings import Settings
from backend.version import model_version
from tests.integration.conftest import wait_for
from tests.integration.web import MODEL, Web, start_web
from tests.unit.requests import CONFIG, payload, task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.redis_server import RedisServer

STOP_S = 30


@pytest.fixture
def new_web(tmp_path: Path, redis_server: RedisServer) -> Iterator[Callable[..., Web]]:
    webs: list[Web] = []

    def make(**environment: str) -> Web:
        port = free_port(0)
        where = {"DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db", "REDIS_URL": redis_server.url, "PORT": str(port)}
        web = Web(
            process=start_web(tmp_path, **where, **environment),
            client=httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60),
            ledger=Ledger.open(where["DATABASE_URL"]),
            queue=WorkQueue.connect(Settings(redis_url=where["REDIS_URL"], _env_file=None)),
            log=tmp_path / "web.log",
        )
        webs.append(web)
        wait_for(web.healthy)
        return web

    yield make
    for web in webs:
        web.process.kill()
        web.process.wait(STOP_S)
        web.client.close()
        web.ledger.close()
        web.queue.connection.close()


@pytest.fixture
def web(new_web: Callable[..., Web]) -> Web:
    return new_web()


@pytest.fixture
def version() -> str:
    return model_version(Settings(**MODEL, _env_file=None))  # type: ignore[arg-type]  # pydantic checks the values


def request(count: int) -> dict[str, Any]:
    return {**payload("predict"), "tasks": [task(number) for number in range(1, count + 1)]}


def test_a_project_is_set_up_and_its_tasks_wait_in_redis(web: Web, version: str) -> None:
    assert web.client.post("/setup", json=payload("setup")).json() == {"model_version": version}
    assert web.client.post("/predict", json=payload("predict")).json() == {"results": [[], [], []]}
    assert web.queue.counts().judge_waiting == 3
    assert web.ledger.counts(1, version)[State.QUEUED] == 3


def test_the_reason_of_a_refusal_travels_in_the_status_line(web: Web) -> None:
    answer = web.client.post("/setup", json={**payload("setup"), "schema": CONFIG.replace('name="vq"', 'name="é日"')})
    assert answer.status_code == 400
    assert "no choices for VQ (visual quality)" in answer.reason_phrase


def test_a_task_that_is_opened_is_judged_first(web: Web, version: str) -> None:
    web.client.post("/predict", json=request(5))
    web.client.post("/predict", json={**request(5), "tasks": [task(4)]})
    order = [job.split("-")[2] for job in web.queue.judging(version).get_job_ids()]
    assert order == ["4", "1", "2", "3", "5"]


def test_what_is_asked_for_three_times_at_once_is_queued_once(web: Web, version: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: web.client.post("/predict", json=request(300)), range(3)))
    assert [answer.json() for answer in answers] == [{"results": [[]] * 300}] * 3
    waiting = web.queue.judging(version).get_job_ids()
    assert sorted(waiting) == sorted(set(waiting))
    assert web.queue.counts().judge_waiting == web.ledger.counts(1, version)[State.QUEUED] == 300


def test_while_redis_is_gone_work_is_kept_and_the_page_says_so(
    web: Web, redis_server: RedisServer, version: str
) -> None:
    redis_server.kill()
    assert web.client.post("/predict", json=payload("predict")).status_code == 200
    assert web.ledger.counts(1, version)[State.QUEUED] == 3
    assert "Redis cannot be reached" in web.client.get("/").text
    assert 'vrthinker_up{part="redis"} 0.0' in web.client.get("/metrics").text
    redis_server.start()
    wait_for(lambda: "Redis cannot be reached" not in web.client.get("/").text)


def test_a_webhook_reaches_the_ledger(web: Web) -> None:
    assert web.client.post("/webhook", json=payload("webhook_annotation_created")).json() == {"status": "ok"}
    wait_for(lambda: web.ledger.annotation_ids(1) == {1})


def test_a_webhook_that_was_answered_is_worked_in_before_the_process_ends(web: Web) -> None:
    body = payload("webhook_annotation_created")
    for number in range(1, 101):
        web.client.post("/webhook", json={**body, "annotation": {**body["annotation"], "id": number}})
    web.process.send_signal(signal.SIGTERM)
    assert web.process.wait(STOP_S) == 0
    assert len(web.ledger.annotation_ids(1)) == 100


def test_the_process_stays_small_and_never_loads_the_model(web: Web) -> None:
    web.client.post("/predict", json=request(1000))
    loaded = Path(f"/proc/{web.process.pid}/maps").read_text()
    for library in ("torch", "numpy", "cv2", "pandas"):
        assert f"/{library}/" not in loaded
    resident = Path(f"/proc/{web.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    assert int(resident) * 1024 < 300_000_000


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\xff\r\n\r\n",
    ],
    ids=["version", "negative length", "huge length", "bad chunk", "TLS", "long line", "broken escapes"],
)
def test_bytes_that_are_no_request_harm_nobody(web: Web, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", web.client.base_url.port or 0), timeout=STOP_S) as connection:
        answer = b""
        with suppress(ConnectionError):  # it may hang up before everything was sent
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile("rb").read()
    assert b"Traceback" not in answer
    assert web.healthy()
    assert "Traceback" not in web.log.read_text()


def test_the_token_that_label_studio_sends_is_in_no_file(web: Web, tmp_path: Path) -> None:
    body = payload("setup")
    web.client.post("/setup", json=body)
    web.client.post("/setup", json={**body, "schema": "<View/>"})
    found = [
        path for path in tmp_path.rglob("*") if path.is_file() and body["access_token"].encode() in path.read_bytes()
    ]
    assert found == []


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"BASIC_AUTH_USER": "ml"}, "Set both BASIC_AUTH_USER and BASIC_AUTH_PASS"),
        ({"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL cannot be used"),
        ({"REDIS_URL": "nonsense"}, "REDIS_URL is no address of a Redis"),
        ({"PORT": "0"}, "PORT is '0'"),
    ],
)
def test_settings_that_cannot_work_end_it_with_one_sentence(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    process = start_web(tmp_path, **{"DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db", **environment})
    assert process.wait(STOP_S * 2) != 0
    said = (tmp_path / "web.log").read_text()
    assert sentence in " ".join(said.split())
    assert "Traceback" not in said


def test_a_port_that_is_taken_ends_it_with_one_sentence(web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    process = start_web(folder, PORT=str(web.client.base_url.port), DATABASE_URL=f"sqlite:///{folder}/ledger.db")
    assert process.wait(STOP_S * 2) != 0
    said = (folder / "web.log").read_text()
    assert "Nothing can listen on HOST 127.0.0.1" in " ".join(said.split())
    assert "Traceback" not in said


def test_a_task_without_a_prompt_is_found_by_its_reason(web: Web, version: str) -> None:
    web.client.post("/predict", json={**request(2), "tasks": [task(1, prompt=""), task(2)]})
    entry = web.ledger.entry(Key(1, 1, version))
    assert entry is not None
    assert "prompt" in entry.message
    assert "task_data" in web.client.get("/").text
