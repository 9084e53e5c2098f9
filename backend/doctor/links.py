"""The links that every project shares: Label Studio, the ledger, Redis, the workers, the web process."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from backend.bootstrap import open_ledger
from backend.doctor.finding import Finding, attempt, caught, finding
from backend.errors import LabelStudioUnauthorizedError, VRThinkerError
from backend.label_studio.connection import JWT_DOTS
from backend.queue.names import JUDGE, PUBLISH
from backend.queue.workqueue import mapped_errors
from backend.version import model_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.label_studio.client import LabelStudioClient
    from backend.queue import WorkerInfo, WorkQueue
    from backend.settings import Settings

PROBE_S = 5.0
GB = 1e9
LEAST_FREE = 0.03  # of a GPU's memory: a further picture of a conversation takes about as much
NEW_TOKEN = "Set LABEL_STUDIO_API_KEY to a personal access token (Account & Settings > Personal Access Token)."  # noqa: S105  # no token
MEND_REDIS = "Mend Redis first."
SAME = "Start all processes with the same MODEL, ENGINE and CONTRACT settings."
LEGACY = "Legacy tokens are off by default (Organization > Access Token Settings)."


def label_studio_answers(url: str) -> Finding:
    """Whether something answers there at all; no token is sent."""
    status, said = _probe(f"{url}/health")
    advice = "Check LABEL_STUDIO_URL, and that Label Studio runs."
    return finding("Label Studio", status == HTTPStatus.OK, f"{url}: {said}", advice)


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

    return attempt("ledger", look, "Check DATABASE_URL: all processes but the workers must name the same database.")


def redis_answers(queue: WorkQueue) -> Finding:
    """Whether the queues can be read."""

    def look() -> str:
        counts = queue.counts()
        return f"{counts.judge_waiting} pairs wait to be judged, {counts.publish_waiting} results to be published"

    return attempt("Redis", look, "Check REDIS_URL with its password, and that Redis runs.")


def redis_keeps_jobs(queue: WorkQueue) -> Finding:
    """Whether jobs survive a restart of Redis."""
    name, advice = "Redis persistence", "Start redis-server with --appendonly yes."
    with caught(name, MEND_REDIS) as errors:
        kept = _info(queue, "persistence").get("aof_enabled") == 1
        said = "append-only file is on" if kept else "append-only file is off: waiting jobs are lost with Redis"
        return finding(name, kept, said, advice)
    return errors[0]


def redis_evicts_nothing(queue: WorkQueue) -> Finding:
    """Whether Redis refuses new work, rather than drop old, when its memory is full."""
    name, advice = "Redis eviction", "Start redis-server with --maxmemory-policy noeviction."
    with caught(name, MEND_REDIS) as errors:
        policy = _info(queue, "memory").get("maxmemory_policy", "unknown")
        return finding(name, policy == "noeviction", f"maxmemory-policy is {policy}", advice)
    return errors[0]


def workers_beat(queue: WorkQueue, version: str) -> Iterator[Finding]:
    """Whether both kinds of process live, and judge as the settings here say."""
    try:
        alive = queue.workers()
    except VRThinkerError as error:
        yield Finding("workers", False, str(error), MEND_REDIS)
        return
    judges = [one for one in alive if one.role == JUDGE]
    publishers = [one for one in alive if one.role == PUBLISH]
    yield finding("GPU workers", bool(judges), f"{len(judges)} alive", "Start vrthinker worker, or read its log.")
    yield finding("publisher", bool(publishers), f"{len(publishers)} alive", "Start vrthinker publisher.")
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
    return finding(
        "model version", version in versions, said, "Start all processes with the same MODEL* and CONTRACT settings."
    )


def orders_have_workers(queue: WorkQueue) -> Finding:
    """Whether a worker lives for each model version that orders wait for; without one they wait for ever."""
    name = "waiting orders"
    advice = "Start vrthinker worker with the settings of that version, or give them up: vrthinker cancel PROJECT."
    with caught(name, MEND_REDIS) as errors:
        without = queue.counts().without_worker(queue.workers())
        told = ", ".join(f"{count} for {version}" for version, count in without.items())
        said = f"no worker is alive for these: {told}" if without else "none waits for a version without a worker"
        return finding(name, not without, said, advice)
    return errors[0]


def gpus_have_room(judges: Sequence[WorkerInfo]) -> Finding:
    """Whether the workers' GPUs have memory left for the longest conversations."""
    known = [one for one in judges if one.memory_total]
    full = [one for one in known if (one.memory_free or 0) < LEAST_FREE * (one.memory_total or 0)]
    said = "; ".join(_room(one) for one in full or known) or "no worker runs the model on a GPU of its own"
    advice = "Use QUANTIZATION=8bit or 4bit, MEMORY_WINDOW=1 or a larger GPU, and end what else uses it."
    return finding("GPU memory", not full, said, advice)


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
    return finding(name, f'"{mine}"' in said, f"{url}: {said}", f"{SAME} Is --backend-url right?")


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
