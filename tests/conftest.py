"""What tests of every kind share: an empty ledger, and a real Redis.

What the fixtures need is imported inside them: a machine that runs only tests/gpu need not have Redis or SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.ledger import Ledger
    from backend.queue import WorkQueue
    from tests.redis_server import RedisServer


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger, `ledger.db` in the test's folder."""
    from backend.ledger import Ledger

    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests of a file."""
    from tests.redis_server import running_redis

    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_queue(redis_server: RedisServer) -> Iterator[WorkQueue]:
    """The queues of that Redis, emptied before each test."""
    from backend.queue import WorkQueue
    from backend.settings import Settings

    queue = WorkQueue.connect(Settings(redis_url=redis_server.url, _env_file=None))
    queue.connection.flushdb()
    yield queue
    queue.connection.close()
