"""The whole loop through an OpenAI-style server: as good as in process, and alive when the server is not well."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.serving import make_server

from backend.demo.services import VRTHINKER
from backend.ledger import Key, State
from backend.settings import BUNDLED_CHECKPOINT
from backend.types import PairwiseTask
from tests.e2e.numbered import Numbered
from tests.integration.conftest import published_once, wait_for
from tests.integration.doubles import ANSWER
from tests.integration.test_videos import make_clip
from tests.model_server import ModelServer, create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Stack

Trace = dict[str, Any]


@contextmanager
def serving(server: ModelServer) -> Iterator[str]:
    """The base URL of a running model server."""
    running = make_server("127.0.0.1", 0, create_app(server))
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/v1"
    running.shutdown()
    thread.join()
    running.server_close()


def infer(folder: Path, name: str, *options: str, **environment: str) -> Trace:
    """`vrthinker infer` as a process; its trace."""
    videos = ("--video1", "one.mp4", "--video2", "two.mp4", "--prompt", "Naïve bars that count 🎬")
    command = [str(VRTHINKER), "infer", *videos, "--trace", f"{name}.json", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={"PATH": os.defpath, **environment}
    )
    assert done.returncode in {0, 3}, done.stderr
    trace: Trace = json.loads((folder / f"{name}.json").read_text())
    assert json.loads(done.stdout) == trace["answer"]
    return trace


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    Numbered("one", 24, 24.0).make(folder)
    Numbered("two", 40, 24.0).make(folder)
    return folder


@pytest.fixture(scope="module")
def in_process(videos: Path) -> Trace:
    """What the same checkpoint says in the command's own process."""
    return infer(videos, "in_process")


def through(videos: Path, url: str) -> Trace:
    options = ("--engine", "openai", "--model", str(BUNDLED_CHECKPOINT))
    return infer(videos, "served", *options, OPENAI_BASE_URL=url)


def replies(trace: Trace) -> list[str]:
    return [turn["reply"] for turn in trace["turns"]]


def test_a_served_model_says_the_same_with_the_same_confidence(videos: Path, in_process: Trace) -> None:
    with serving(ModelServer(str(BUNDLED_CHECKPOINT))) as url:
        served = through(videos, url)
    assert replies(served) == replies(in_process)
    assert served["answer"] == in_process["answer"]
    assert served["frames"] == in_process["frames"]
    assert in_process["verdicts"]
    for dimension, verdict in in_process["verdicts"].items():
        assert served["verdicts"][dimension]["odds"] == pytest.approx(verdict["odds"], abs=1e-4)
        assert served["verdicts"][dimension]["mass"] == pytest.approx(verdict["mass"], abs=1e-4)
    # Every picture came in the same bytes each time, so the server knew what it had read before.
    assert all(turn["cached_tokens"] > 2000 for turn in served["turns"][1:])
    assert len(served["turns"]) > 1


def test_without_log_probabilities_there_is_a_verdict_without_confidence(videos: Path, in_process: Trace) -> None:
    with serving(ModelServer(str(BUNDLED_CHECKPOINT), logprobs=False)) as url:
        served = through(videos, url)
    assert served["answer"] == in_process["answer"]
    assert {verdict["odds"] for verdict in served["verdicts"].values()} == {None}


class SickServer(BaseHTTPRequestHandler):
    """A test double of a model server: what is wrong with it stands in the prompt of the task."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # the base class's own name
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer, or fail as told."""
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "answer 429" in asked:
            self._say(429, {"error": {"message": "Too many requests"}})
        elif "answer 500" in asked:
            self._say(500, {"error": {"message": "CUDA error"}})
        elif "answer garbage" in asked:
            self._send(200, b"<html>It works!</html>")
        elif "break off" in asked:
            self._send(200, b'{"choices": [{"mess', more=1000)
        elif "few images" in asked:
            self._say(400, {"error": {"message": "At most 4 image(s) may be provided in one prompt."}})
        else:
            message = {"role": "assistant", "content": ANSWER}
            choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
            shell = {"id": "1", "object": "chat.completion", "created": 0, "model": "double"}
            self._say(200, {**shell, "choices": [choice]})

    def _say(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, body: bytes, more: int = 0) -> None:
        """`more` bytes are promised than are sent."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) + more))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = more > 0


@pytest.fixture
def sick_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SickServer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


FAULTS = {
    "answer 429": ("engine_unavailable", "Too many requests"),
    "answer 500": ("engine_unavailable", "CUDA error"),
    "answer garbage": ("engine_unavailable", "did not answer with JSON"),
    "break off": ("engine_unavailable", "broke the connection off"),
    "few images": ("engine", "--limit-mm-per-prompt"),
}


def test_a_sick_server_fails_the_tasks_it_is_sick_for_and_the_worker_lives_on(
    new_stack: Callable[..., Stack], sick_server: str, tmp_path: Path
) -> None:
    stack = new_stack(engine="openai", max_attempts=2)
    clip = make_clip(tmp_path / "a.mp4")
    worker = stack._start(
        "light",
        ENGINE="openai",
        OPENAI_BASE_URL=sick_server,
        MEDIA_ROOTS=str(tmp_path),
        MEDIA_CACHE_DIR=str(tmp_path / "cache"),
    )
    stack.publisher()
    tasks = dict(enumerate(FAULTS, 1))
    stack.enter(*(PairwiseTask(1, task, clip, clip, fault) for task, fault in tasks.items()))
    wait_for(stack.settled)
    for task, fault in tasks.items():
        entry = stack.ledger.entry(Key(1, task, stack.version))
        assert entry is not None
        reason, words = FAULTS[fault]
        assert (entry.state, entry.reason, entry.attempts) == (State.FAILED, reason, 2 if "un" in reason else 1)
        assert words in entry.message
    stack.enter(PairwiseTask(1, 9, clip, clip, "a dog runs"))
    wait_for(stack.settled)
    assert published_once(stack, [9])
    assert worker.poll() is None
