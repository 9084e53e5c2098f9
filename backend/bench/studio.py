"""A double of Label Studio for benches: the endpoints that write-back uses, over real HTTP, and nothing behind them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Studio:
    """One project, every task of which exists; `predictions` are kept as sent, by task."""

    label_config: str
    url: str = ""
    version: str = ""
    predictions: dict[int, dict[str, Any]] = field(default_factory=dict)

    def project(self, number: int) -> dict[str, Any]:
        """As the API shows it."""
        return {"id": number, "title": "Bench", "label_config": self.label_config, "model_version": self.version}

    def store(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Keep a prediction, under its task's number."""
        stored = {**sent, "id": sent["task"], "created_at": "2026-01-01T00:00:00Z"}
        self.predictions[sent["task"]] = stored
        return stored

    def listed(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """A page of the tasks that a query of the Data Manager names; it names none for annotated ones."""
        last = max(item["value"] for item in query["filters"]["items"] if item["filter"] == "filter:tasks:id")
        named = sorted(task for task in query.get("selectedItems", {}).get("included", ()) if task > last)
        return [self._task(task) for task in named]

    def _task(self, number: int) -> dict[str, Any]:
        stored = [self.predictions[number]] if number in self.predictions else []
        counts = {"total_predictions": len(stored), "total_annotations": 0, "cancelled_annotations": 0}
        return {"id": number, **counts, "predictions": stored, "annotations": []}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    studio: Studio


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # the base class's own name
        """Say nothing."""

    def do_GET(self) -> None:
        """Projects, tasks and predictions."""
        url = urlsplit(self.path)
        studio, parts = self.server.studio, [part for part in url.path.split("/") if part]
        if parts[:2] == ["api", "projects"]:
            self._answer(HTTPStatus.OK, studio.project(int(parts[2])))
        elif parts == ["api", "tasks"]:
            tasks = studio.listed(json.loads(parse_qs(url.query)["query"][0]))
            self._answer(HTTPStatus.OK, {"tasks": tasks, "total": len(tasks)})
        elif parts == ["api", "predictions"]:
            stored = studio.predictions.get(int(parse_qs(url.query)["task"][0]))
            self._answer(HTTPStatus.OK, [stored] if stored else [])
        else:
            self._answer(HTTPStatus.OK, studio.predictions[int(parts[2])])

    def do_POST(self) -> None:
        """New predictions, one or many."""
        sent = self._sent()
        if isinstance(sent, list):
            self._answer(HTTPStatus.CREATED, {"created": len([self.server.studio.store(one) for one in sent])})
        else:
            self._answer(HTTPStatus.CREATED, self.server.studio.store(sent))

    def do_PATCH(self) -> None:
        """The version that annotators are shown."""
        self.server.studio.version = self._sent()["model_version"]
        self._answer(HTTPStatus.OK, self.server.studio.project(1))

    def _sent(self) -> Any:  # noqa: ANN401  # whatever JSON came
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: HTTPStatus, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def running_studio(label_config: str) -> Iterator[Studio]:
    """The double on a port of its own."""
    studio = Studio(label_config)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.studio = studio
        studio.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield studio
        server.shutdown()
