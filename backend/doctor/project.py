"""The links of one project: how it is connected to us, and whether its videos can be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backend.bootstrap import open_fetcher
from backend.doctor.finding import Finding, caught, finding
from backend.errors import MediaError, TaskDataError, VRThinkerError
from backend.label_studio.convert import parse_task
from backend.label_studio.layout import parse_layout
from backend.label_studio.project import CONNECTED, Target, is_right, ours, present_address
from backend.version import contract_of, model_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.label_studio.client import LabelStudioClient
    from backend.label_studio.records import MlBackend
    from backend.settings import Settings
    from backend.types import PairwiseTask

PRIVATE = (
    "On a private address, start Label Studio with LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and "
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false."
)


def connected_once(client: LabelStudioClient, settings: Settings, project: int, web_url: str) -> Iterator[Finding]:
    """Whether Label Studio has us as ML backend and webhook of the project, each once and working."""
    admin, secret = client.administration, settings.webhook_secret.get_secret_value()
    with caught("ML backend", _repair(project)) as errors:
        backends = ours(admin, project, Target(web_url, model_version=model_version(settings)))
        address = present_address(backends)
        repair = _repair(project, address)
        yield backend_connected(backends, repair)
        if address:
            target = Target(address, webhook_secret=secret)
            hooks = [hook for hook in admin.webhooks(project) if hook.url.rstrip("/") == target.webhook_url]
            right = len(hooks) == 1 and is_right(hooks[0], target)
            other = "" if right or len(hooks) != 1 else ", with other settings"
            yield finding("webhook", right, f"{len(hooks)} to {target.webhook_url}{other}", repair)
    yield from errors


def _repair(project: int, address: str = "") -> str:
    """The command that mends a connection; without an address it has to be found out first."""
    command = f"vrthinker init --project {project} --backend-url {address or 'URL'} mends it"
    return f"{command}." if address else f"{command}; URL is the web process as seen from Label Studio."


def backend_connected(backends: Sequence[MlBackend], repair: str) -> Finding:
    """Whether just one of the project's ML backends is us, and Label Studio reaches it."""
    name = "ML backend"
    if len(backends) != 1:
        return Finding(name, False, f"connected {len(backends)} times; it must be once", repair)
    [backend] = backends
    if backend.state != CONNECTED:
        why = backend.error_message or f"state {backend.state}"
        advice = f"Label Studio must reach that address from where it runs. {PRIVATE} Then {repair}"
        return Finding(name, False, f"{backend.url} is not connected: {why}", advice)
    return Finding(name, True, f"{backend.url} is connected")


def videos_play(client: LabelStudioClient, settings: Settings, project: int) -> Iterator[Finding]:
    """Whether the videos of the project's first task can be fetched and decoded here."""
    name = "videos fetched"
    advice = "Videos elsewhere need MEDIA_HOSTS or MEDIA_ROOTS; see the task in Label Studio."
    try:
        task = _first_task(client, project)
    except TaskDataError as error:
        yield Finding(name, False, str(error), "Import tasks in Label Studio, or correct the first one there.")
        return
    except VRThinkerError as error:
        yield Finding(name, False, str(error))
        return
    with caught(name, advice) as errors:
        fetcher = open_fetcher(settings, client)
        with fetcher.fetch(task.video1, task.task) as one, fetcher.fetch(task.video2, task.task) as two:
            sizes = " and ".join(f"{path.stat().st_size:,} bytes" for path in (one, two))
            yield Finding(name, True, f"task {task.task}: {sizes}")
            yield videos_decode(one, two, settings)
    yield from errors


def videos_decode(video1: Path, video2: Path, settings: Settings) -> Finding:
    """Whether frames of both files can be read."""
    name = "videos decoded"
    try:
        from backend.frames import VideoPair  # OpenCV, which only workers have

        with VideoPair.open(video1, video2, contract_of(settings)) as pair:
            said = " and ".join(f"{clip.frames} frames of {clip.width} x {clip.height}" for clip in pair.clips)
    except ImportError as error:
        return Finding(name, False, f"not tried: {error.name} is not here", "Install vrthinker[frames] here.")
    except MediaError as error:
        return Finding(name, False, str(error), "Import a video that players show, as MP4 or WebM.")
    return Finding(name, True, said)


def _first_task(client: LabelStudioClient, project: int) -> PairwiseTask:
    layout = parse_layout(client.project(project).label_config)
    for task in client.tasks(project):
        return parse_task(layout, project, {"id": task.id, "data": task.data})
    raise TaskDataError(f"Project {project} has no tasks yet.")
