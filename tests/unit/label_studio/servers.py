"""A real HTTP server on loopback whose answers a test writes, and which remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Exchange(BaseHTTPRequestHandler):
    """One request and the means to answer it; header names are lower case in `asked`."""

    asked: Asked
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A complete answer; `content_type="x"` becomes `Content-Type: x`."""
        self.begin(status, **{"content_length": str(len(body)), **headers})
        self.wfile.write(body)

    def begin(self, status: int, **headers: str) -> None:
        """The head of an answer; the body is up to the test."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401  # the base class's signature
        """Nothing: tests look at `Served.requests`."""


Respond: TypeAlias = Callable[[Exchange], None]


@dataclass(slots=True)
class Served:
    """A running server."""

    port: int
    requests: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # the base class's signature
        """Clients that hang up are what many of these tests are about."""


@contextmanager
def serving(respond: Respond) -> Iterator[Served]:
    """A server that answers every request with `respond`."""

    class Handler(Exchange):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.asked = Asked(self.command, self.path, headers, self.rfile.read(length))
            served.requests.append(self.asked)
            respond(self)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815  # http.server looks for these names

    server = _Server(("127.0.0.1", 0), Handler)
    served = Served(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
