"""Looks at every link between Label Studio, the backend's processes and the videos; each failure says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.doctor import links
from backend.doctor.finding import Finding
from backend.doctor.project import connected_once, videos_play
from backend.version import model_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.label_studio.client import LabelStudioClient
    from backend.queue import WorkQueue
    from backend.settings import Settings

__all__ = ["Finding", "examine"]


def examine(
    settings: Settings, client: LabelStudioClient, queue: WorkQueue, *, web_url: str, project: int | None = None
) -> Iterator[Finding]:
    """Every finding, in the order in which work passes the links; with `project`, those of the project too."""
    yield links.label_studio_answers(client.url)
    token = links.api_key(client, settings.label_studio_api_key.get_secret_value())
    yield token
    yield links.ledger_opens(settings)
    yield links.redis_answers(queue)
    yield links.redis_keeps_jobs(queue)
    yield links.redis_evicts_nothing(queue)
    yield from links.workers_beat(queue, model_version(settings))
    yield links.orders_have_workers(queue)
    yield links.web_answers(web_url, settings)
    if project is None:
        return
    if not token.ok:
        yield Finding(f"project {project}", False, "not looked at, for Label Studio does not let us in", token.advice)
        return
    yield from connected_once(client, settings, project, web_url)
    yield from videos_play(client, settings, project)
