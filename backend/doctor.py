"""Looks at every link between Label Studio, the backend's processes and the videos; each failure says what to do."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from backend.bootstrap import open_fetcher, open_ledger
from backend.errors import LabelStudioUnauthorizedError, MediaError, TaskDataError, VRThinkerError
from backend.label_studio.connection import JWT_DOTS
from backend.label_studio.convert import parse_task
from backend.label_studio.layout import parse_layout
from backend.label_studio.project import CONNECTED, Target, is_right, ours, present_address
from backend.queue.names import JUDGE, PUBLISH
from backend.queue.workqueue import mapped_errors
from backend.version import contract_of, model_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backend.label_studio.client import LabelStudioClient
    from backend.label_studio.records import MlBackend
    from backend.queue import WorkerInfo, WorkQueue
    from backend.settings import Settings
    from backend.types import PairwiseTask

PROBE_S = 5.0
GB = 1e9
LEAST_FREE = 0.03  # of a GPU's memory: a further picture of a conversation takes about as much
SILENCE = timedelta(seconds=90)  # beats come every few seconds, also while a pair is judged
PRIVATE = (
    "On a private address, start Label Studio with LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and "
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false."
)
NEW_TOKEN = "Set LABEL_STUDIO_API_KEY to a personal access token (Account & Settings > Personal Access Token)."  # noqa: S105  # no token
MEND_REDIS = "Mend Redis first."
SAME = "Start all processes with the same MODEL, ENGINE and CONTRACT settings."
LEGACY = "Legacy tokens are off by default (Organization > Access Token Settings)."


@dataclass(frozen=True, slots=True)
class Finding:
    """One link: whether it holds, what was seen, and what to do where it does not."""

    name: str
    ok: bool
    said: str
    advice: str = ""


def examine(
    settings: Settings, client: LabelStudioClient, queue: WorkQueue, *, web_url: str, project: int | None = None
) -> Iterator[Finding]:
    """Every finding, in the order in which work passes the links; with `project`, those of the project too."""
    yield label_studio_answers(client.url)
    token = api_key(client, settings.label_studio_api_key.get_secret_value())
    yield token
    yield ledger_opens(settings)
    yield redis_answers(queue)
    yield redis_keeps_jobs(queue)
    yield redis_evicts_nothing(queue)
    yield from workers_beat(queue, model_version(settings), datetime.now(UTC))
    yield orders_have_workers(queue)
    yield web_answers(web_url, settings)
    if project is None:
        return
    if not token.ok:
        yield Finding(f"project {project}", False, "not looked at, for Label Studio does not let us in", token.advice)
        return
    yield from connected_once(client, settings, project, web_url)
    yield from videos_play(client, settings, project)


def label_studio_answers(url: str) -> Finding:
    """Whether something answers there at all; no token is sent."""
    status, said = _probe(f"{url}/health")
    advice = "Check LABEL_STUDIO_URL, and that Label Studio runs."
    return _finding("Label Studio", status == HTTPStatus.OK, f"{url}: {said}", advice)


def api_key(client: LabelStudioClient, key: str) -> Finding:
    """Which kind of token it is, and whose."""
    name, personal = "API key", key.count(".") == JWT_DOTS
    kind = "personal access token" if personal else "legacy token"
    try:
        return Finding(name, True, f"{kind} of {client.whoami().email}")
    except LabelStudioUnauthorizedError as error:
        if not key:
            return Finding(name, False, str(error), NEW_TOKEN)
        return Finding(name, False, f"{kind}: {error}", NEW_TOKEN if personal else f"{LEGACY} {NEW_TOKEN}")
    except VRThinkerError as error:
        return Finding(name, False, str(error), "Check LABEL_STUDIO_URL, and that Label Studio runs.")


def ledger_opens(settings: Settings) -> Finding:
    """Whether the database can be read."""

    def look() -> str:
        ledger = open_ledger(settings)
        try:
            return f"{ledger.place} knows {len(ledger.projects())} projects"
        finally:
            ledger.close()

    return _attempt("ledger", look, "Check DATABASE_URL: all processes but the workers must name the same database.")


def redis_answers(queue: WorkQueue) -> Finding:
    """Whether the queues can be read."""

    def look() -> str:
        counts = queue.counts()
        return f"{counts.judge_waiting} pairs wait to be judged, {counts.publish_waiting} results to be published"

    return _attempt("Redis", look, "Check REDIS_URL with its password, and that Redis runs.")


def redis_keeps_jobs(queue: WorkQueue) -> Finding:
    """Whether jobs survive a restart of Redis."""
    name, advice = "Redis persistence", "Start redis-server with --appendonly yes."
    with _caught(name, MEND_REDIS) as caught:
        kept = _info(queue, "persistence").get("aof_enabled") == 1
        said = "append-only file is on" if kept else "append-only file is off: waiting jobs are lost with Redis"
        return _finding(name, kept, said, advice)
    return caught[0]


def redis_evicts_nothing(queue: WorkQueue) -> Finding:
    """Whether Redis refuses new work, rather than drop old, when its memory is full."""
    name, advice = "Redis eviction", "Start redis-server with --maxmemory-policy noeviction."
    with _caught(name, MEND_REDIS) as caught:
        policy = _info(queue, "memory").get("maxmemory_policy", "unknown")
        return _finding(name, policy == "noeviction", f"maxmemory-policy is {policy}", advice)
    return caught[0]


def workers_beat(queue: WorkQueue, version: str, now: datetime) -> Iterator[Finding]:
    """Whether both kinds of process live, and judge as the settings here say."""
    try:
        alive = [one for one in queue.workers() if one.heartbeat and now - one.heartbeat < SILENCE]
    except VRThinkerError as error:
        yield Finding("workers", False, str(error), MEND_REDIS)
        return
    judges = [one for one in alive if one.role == JUDGE]
    publishers = [one for one in alive if one.role == PUBLISH]
    yield _finding("GPU workers", bool(judges), f"{len(judges)} alive", "Start vrthinker worker, or read its log.")
    yield _finding("publisher", bool(publishers), f"{len(publishers)} alive", "Start vrthinker publisher.")
    if judges:
        yield versions_equal(judges, version)
        yield gpus_have_room(judges)


def versions_equal(judges: Sequence[WorkerInfo], version: str) -> Finding:
    """Whether a worker has the model version that is asked for; those of another version leave its orders alone."""
    versions = {one.model_version for one in judges}
    others = sorted(versions - {version})
    said = f"{version} here, {', '.join(others)} in workers" if others else f"{version} everywhere"
    if others and version in versions:
        said = f"{version} here and in workers; {', '.join(others)} in others"
    return _finding(
        "model version", version in versions, said, "Start all processes with the same MODEL* and CONTRACT settings."
    )


def orders_have_workers(queue: WorkQueue) -> Finding:
    """Whether a worker lives for each model version that orders wait for; without one they wait for ever."""
    name = "waiting orders"
    advice = "Start vrthinker worker with the settings of that version, or give them up: vrthinker cancel PROJECT."
    with _caught(name, MEND_REDIS) as caught:
        without = queue.counts().without_worker(queue.workers())
        told = ", ".join(f"{count} for {version}" for version, count in without.items())
        said = f"no worker is alive for these: {told}" if without else "none waits for a version without a worker"
        return _finding(name, not without, said, advice)
    return caught[0]


def gpus_have_room(judges: Sequence[WorkerInfo]) -> Finding:
    """Whether the workers' GPUs have memory left for the longest conversations."""
    known = [one for one in judges if one.memory_total]
    full = [one for one in known if (one.memory_free or 0) < LEAST_FREE * (one.memory_total or 0)]
    said = "; ".join(_room(one) for one in full or known) or "no worker runs the model on a GPU of its own"
    advice = "Use QUANTIZATION=8bit or 4bit, MEMORY_WINDOW=1 or a larger GPU, and end what else uses it."
    return _finding("GPU memory", not full, said, advice)


def _room(worker: WorkerInfo) -> str:
    free, total = (worker.memory_free or 0) / GB, (worker.memory_total or 0) / GB
    return f"{worker.name} ({worker.device}): {free:.1f} of {total:.1f} GB free"


def web_answers(url: str, settings: Settings) -> Finding:
    """Whether the web process answers, takes our Basic auth, and has our model version."""
    name, password = "web process", settings.basic_auth_pass.get_secret_value()
    auth = httpx.BasicAuth(settings.basic_auth_user, password) if settings.basic_auth_user else None
    status, said = _probe(f"{url}/versions", auth)
    if status == HTTPStatus.UNAUTHORIZED:
        return Finding(name, False, f"{url}: {said}", "Give it the same BASIC_AUTH_USER and BASIC_AUTH_PASS as here.")
    if status != HTTPStatus.OK:
        return Finding(name, False, f"{url}: {said}", "Start vrthinker web, or name it with --backend-url.")
    mine = model_version(settings)
    return _finding(name, f'"{mine}"' in said, f"{url}: {said}", f"{SAME} Is --backend-url right?")


def connected_once(client: LabelStudioClient, settings: Settings, project: int, web_url: str) -> Iterator[Finding]:
    """Whether Label Studio has us as ML backend and webhook of the project, each once and working."""
    admin, secret = client.administration, settings.webhook_secret.get_secret_value()
    with _caught("ML backend", _repair(project)) as caught:
        backends = ours(admin, project, Target(web_url, model_version=model_version(settings)))
        address = present_address(backends)
        repair = _repair(project, address)
        yield backend_connected(backends, repair)
        if address:
            target = Target(address, webhook_secret=secret)
            hooks = [hook for hook in admin.webhooks(project) if hook.url.rstrip("/") == target.webhook_url]
            right = len(hooks) == 1 and is_right(hooks[0], target)
            other = "" if right or len(hooks) != 1 else ", with other settings"
            yield _finding("webhook", right, f"{len(hooks)} to {target.webhook_url}{other}", repair)
    yield from caught


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
    with _caught(name, advice) as caught:
        fetcher = open_fetcher(settings, client)
        with fetcher.fetch(task.video1, task.task) as one, fetcher.fetch(task.video2, task.task) as two:
            sizes = " and ".join(f"{path.stat().st_size:,} bytes" for path in (one, two))
            yield Finding(name, True, f"task {task.task}: {sizes}")
            yield videos_decode(one, two, settings)
    yield from caught


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


def _finding(name: str, ok: bool, said: str, advice: str) -> Finding:
    return Finding(name, ok, said, "" if ok else advice)


def _attempt(name: str, look: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(name, True, look())
    except VRThinkerError as error:
        return Finding(name, False, str(error), advice)


@contextmanager
def _caught(name: str, advice: str) -> Iterator[list[Finding]]:
    """An error of ours inside the block becomes the one finding in the list."""
    found: list[Finding] = []
    try:
        yield found
    except VRThinkerError as error:
        found.append(Finding(name, False, str(error), advice))


def _info(queue: WorkQueue, section: str) -> dict[str, Any]:
    """One section of Redis' INFO, which hosted Redis answers too; CONFIG it often forbids."""
    with mapped_errors():
        return dict(queue.connection.info(section))


def _probe(url: str, auth: httpx.Auth | None = None) -> tuple[int, str]:
    """The status of a GET, 0 without an answer, and what to say about it."""
    try:
        response = httpx.get(url, auth=auth, timeout=PROBE_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return 0, f"no answer ({type(error).__name__} {error})".replace(" )", ")")
    return response.status_code, f"HTTP {response.status_code} {' '.join(response.text[:300].split())}".strip()
