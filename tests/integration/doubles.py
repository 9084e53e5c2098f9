"""Test doubles for the outer ends of the pipeline: the model, the videos and Label Studio's API. All else is real."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from backend.errors import MediaError, MediaUnavailableError
from backend.types import Clip, Completion, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.reasoning.contract import Contract
    from backend.types import Conversation, FrameRef

SLOW_S = 0.4  # what fetching a slow video takes
ANSWER = "<think>Video 1 follows the prompt better.</think><Answer>TA=1, MQ=1, VQ=2, OA=1</Answer>"
LABEL_CONFIG = """<View>
  <Text name="prompt" value="$prompt"/>
  <Video name="video1" value="$video1"/><Video name="video2" value="$video2"/>
  {choices}
</View>"""


def label_config(*dimensions: str) -> str:
    """A labeling config with choices for these dimensions."""
    values = "".join(f'<Choice value="{value}"/>' for value in ("Video 1", "Tie", "Video 2"))
    choices = (
        f'<Choices name="{name.lower()}" toName="video1" choice="single-radio">{values}</Choices>'
        for name in dimensions
    )
    return LABEL_CONFIG.format(choices="\n  ".join(choices))


class PromptedEngine:
    """A test double: answers after `seconds`, unless the task's prompt tells it to misbehave."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The same answer for every pair of videos."""
        said = str(conversation[1].parts[-1])
        if "die at once" in said:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang holding the lock" in said:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # like a call that goes on after a signal,
            ctypes.PyDLL(None).sleep(600)  # and never gives the interpreter's lock back
        if "take for ever" in said:
            threading.Event().wait(600)  # nothing raised in this thread wakes it
        while "wait and wait" in said:
            time.sleep(0.1)
        if "raise something" in said:
            raise RuntimeError("nobody expected this")
        if "say nothing" in said:
            return Completion("I would rather not say.", 1, 1)
        time.sleep(self._seconds)
        return Completion(ANSWER, 1, 1)


class NamedVideos:
    """A test double: any reference is a video, except those that say what is wrong with them."""

    @contextmanager
    def fetch(self, reference: str, task: int | None = None) -> Iterator[Path]:
        """A path that nobody opens."""
        if "unavailable" in reference:
            raise MediaUnavailableError(f"task {task}: {reference} timed out")
        if "slow" in reference:
            time.sleep(SLOW_S)
        if "missing" in reference:
            raise MediaError(f"task {task}: {reference} answers 404")
        yield Path(reference)


class GreyVideos:
    """A test double: two opened videos of grey frames."""

    clips: Sequence[Clip] = (Clip(1, 16, 8.0, 4, 4), Clip(2, 16, 8.0, 4, 4))
    seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing to close."""

    def __init__(self, _video1: Path, _video2: Path, _contract: Contract) -> None:
        """Like `VideoPair.open`."""

    def frames(self, refs: Sequence[FrameRef]) -> Sequence[Frame]:
        """One grey frame per place."""
        return [Frame(ref, ref.slot, ref.slot, ref.slot / 8, Image.new("RGB", (4, 4), "grey")) for ref in refs]


class _LabelStudioServer(ThreadingHTTPServer):
    daemon_threads = True
    state: LabelStudioDouble


class LabelStudioDouble:
    """A test double: the few endpoints of Label Studio that write-back uses, over real HTTP.

    As forgiving as the real one: it never dedupes and validates nothing. Its content outlives `stop` and `start`.
    """

    def __init__(self) -> None:
        self.predictions: dict[int, dict[str, Any]] = {}
        self.annotations: dict[int, dict[str, Any]] = {}
        self.deleted_tasks: set[int] = set()
        self.requests: Counter[str] = Counter()
        self.config = label_config("TA", "MQ", "VQ", "OA")
        self.delay_s = 0.0
        self.accepts_token = True
        self.lock = threading.Lock()
        self._server: _LabelStudioServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port each time."""
        self._server = _LabelStudioServer(("127.0.0.1", self.port), _Handler)
        self._server.state = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def store(self, *bodies: dict[str, Any]) -> int:
        """Keep predictions, every time anew; the id of the last."""
        with self.lock:
            for body in bodies:
                number = len(self.predictions) + 1
                self.predictions[number] = {**body, "id": number, "created_at": "2026-01-01T00:00:00Z"}
            return len(self.predictions)

    def tasks(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """The tasks that the Data Manager would list for a query: those named, else those with annotations."""
        last = max(item["value"] for item in query["filters"]["items"] if item["filter"] == "filter:tasks:id")
        with self.lock:
            predictions, annotations = list(self.predictions.values()), list(self.annotations.values())
        named = query.get("selectedItems", {}).get("included") or {one["task"] for one in annotations}
        listed = []
        for task in sorted(task for task in named if task > last and task not in self.deleted_tasks):
            stored = [one for one in predictions if one["task"] == task]
            answered = [one for one in annotations if one["task"] == task]
            newest = max((one["updated_at"] for one in answered), default="2026-01-01T00:00:00Z")
            shape = {"id": task, "total_predictions": len(stored), "updated_at": newest}
            listed.append({**shape, "predictions": stored, "annotations": answered})
        return listed

    def by_task(self) -> dict[tuple[int, str], list[int]]:
        """Prediction ids per task and model version."""
        found: dict[tuple[int, str], list[int]] = defaultdict(list)
        with self.lock:
            for number, prediction in self.predictions.items():
                found[prediction["task"], prediction["model_version"]].append(number)
        return dict(found)


class _Handler(BaseHTTPRequestHandler):
    server: _LabelStudioServer
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = 5.0

    def log_message(self, format: str, *args: object) -> None:  # the base class's own name
        """Say nothing."""

    def do_GET(self) -> None:
        """Projects and predictions."""
        studio, url = self.server.state, urlsplit(self.path)
        studio.requests[f"GET {url.path}"] += 1
        parts = [part for part in url.path.split("/") if part]
        if not studio.accepts_token:
            return self._answer(HTTPStatus.UNAUTHORIZED, {"detail": "Invalid token."})
        if parts[:2] == ["api", "projects"]:
            body = {"id": int(parts[2]), "title": "Pairs", "label_config": studio.config}
            return self._answer(HTTPStatus.OK, body)
        if parts == ["api", "tasks"]:
            query = json.loads(parse_qs(url.query)["query"][0])
            tasks = studio.tasks(query)
            return self._answer(HTTPStatus.OK, {"tasks": tasks, "total": len(tasks)})
        with studio.lock:
            if parts == ["api", "predictions"]:
                task = int(parse_qs(url.query)["task"][0])
                stored = [one for one in studio.predictions.values() if one["task"] == task]
                return self._answer(HTTPStatus.OK, stored)
            found = studio.predictions.get(int(parts[2]))
        return self._answer(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND, found or {})

    def do_POST(self) -> None:
        """New predictions, every time."""
        studio = self.server.state
        studio.requests[f"POST {self.path}"] += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        many = body if isinstance(body, list) else [body]
        if studio.deleted_tasks.intersection(one["task"] for one in many):
            errors = {"task": ["Invalid pk - object does not exist."]}
            problem = {"detail": "Validation error", "validation_errors": errors}
            return self._answer(HTTPStatus.BAD_REQUEST, problem)
        number = studio.store(*many)
        time.sleep(studio.delay_s)  # stored, but not yet answered: a publisher killed now does not know
        stored = studio.predictions[number] if many is not body else {"created": len(many)}
        return self._answer(HTTPStatus.CREATED, stored)

    def _answer(self, status: HTTPStatus, body: object) -> None:
        data = json.dumps(body).encode()
        with contextlib.suppress(OSError):  # whoever asked may have been killed
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
