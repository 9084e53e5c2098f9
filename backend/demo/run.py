"""The demo's story: start everything, make videos, have them judged, read the result back from Label Studio."""

from __future__ import annotations

import shutil
import signal
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

from backend.bootstrap import open_ledger
from backend.demo.clips import FPS, PAIRS, make_clips, paths
from backend.demo.label_studio import LabelStudio, install_label_studio
from backend.demo.process import Processes, locked
from backend.demo.progress import steps_on
from backend.demo.report import as_table, read_back, shortcomings
from backend.demo.services import ROOT, answers, backend_command, redis_answers, redis_command
from backend.demo.site import Site, choose_ports
from backend.errors import ServiceError
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.project import Target, connect
from backend.label_studio.shipped import shipped_config
from backend.ledger import State
from backend.settings import load_settings
from backend.version import model_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.demo.progress import Steps
    from backend.demo.report import Row
    from backend.demo.site import Ports
    from backend.ledger import Ledger

TITLE = "VR-Thinker demo"
POLL_S = 0.3
START_S = 60.0
STUCK_S = 600.0
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Result:
    """What there is when everything has been judged."""

    label_studio: LabelStudio
    project: int
    rows: Sequence[Row]


def run_demo(*, once: bool, label_studio_port: int = 8080, web_port: int = 9090) -> int:
    """Tell the whole story; the exit code: 1 when `once` and a task lacks its prediction.

    Raises:
        ServiceError: something could not be installed or started, or ended early; says what and why.
        VRThinkerError: another part failed.
    """
    console, site = Console(), Site(ROOT / ".demo")
    site.root.mkdir(mode=0o700, exist_ok=True)  # passwords and people's answers
    load_settings(_env_file=None)  # tell about a mistyped setting now, not after minutes of installing
    signal.signal(signal.SIGTERM, _interrupt)
    code = INTERRUPTED
    try:
        with _only_one(site), ThreadPoolExecutor() as pool, Processes(site.records) as processes:
            shutil.rmtree(site.logs, ignore_errors=True)
            ports = choose_ports(label_studio_port, web_port)
            with steps_on(console) as steps:
                result = _Story(site, ports, pool, processes, steps).tell()
            _show(console, site, ports, result)
            code = 0 if all(row.complete for row in result.rows) else 1
            if once:
                return code
            console.print("Everything keeps running. Ctrl-C stops it.")
            _stay(processes)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return code


class _Story:
    """The steps, in the order of the work; what can be done at the same time is."""

    def __init__(self, site: Site, ports: Ports, pool: ThreadPoolExecutor, processes: Processes, steps: Steps) -> None:
        self._site, self._ports = site, ports
        self._pool, self._processes, self._steps = pool, processes, steps

    def tell(self) -> Result:
        """From nothing to predictions in Label Studio."""
        clips = self._pool.submit(self._draw)
        server = self._pool.submit(self._label_studio)
        self._redis()
        token = self._site.credentials().personal_access_token
        if token:  # not the first run: the backend need not wait for Label Studio
            self._backend(token, "web", "worker")
        self._wait(clips, server)
        label_studio = server.result()
        if not token:
            self._backend(label_studio.credentials.personal_access_token, "web", "worker")
        environment = self._backend(label_studio.credentials.personal_access_token, "publisher")
        settings = load_settings(_env_file=None, **{name.lower(): value for name, value in environment.items()})
        version = model_version(settings)
        client = LabelStudioClient(label_studio.url, label_studio.credentials.personal_access_token)
        ledger = open_ledger(settings)
        try:
            project = self._project(client)
            count = self._tasks(client, project)
            client.retrieve_predictions(project)
            self._judging(ledger, project, version, count)
            return Result(label_studio, project, read_back(client, ledger, project, version))
        finally:
            client.close()
            ledger.close()

    def _draw(self) -> None:
        step = self._steps.begin("Clips", len(PAIRS))
        make_clips(self._site.clips, self._processes, lambda done: step.show(done, len(PAIRS)))
        step.finish(f"{len(PAIRS)} pairs")

    def _label_studio(self) -> LabelStudio:
        step = self._steps.begin("Label Studio: install")
        program = install_label_studio(self._processes)
        step.finish("installed")
        step = self._steps.begin("Label Studio: start")
        site, log = self._site, self._site.logs / "label-studio.log"
        server = LabelStudio(program, site.data, site.files, self._ports.label_studio, site.credentials(), log)
        running = self._processes.start(server.command())
        ready = server.wait(running, lambda count: step.say(f"{count} migrations" if count else ""))
        site.keep(ready.credentials)
        step.finish(ready.url)
        return ready

    def _redis(self) -> None:
        password = self._site.secrets().redis_password
        running = self._processes.start(redis_command(self._site.redis, self._ports.redis, password))
        running.wait_until(lambda: redis_answers(self._ports.redis, password), timeout_s=START_S)

    def _backend(self, token: str, *names: str) -> dict[str, str]:
        """Start these processes of the backend; their settings."""
        environment = self._site.environment(self._ports, token)
        for name in names:
            running = self._processes.start(backend_command(name, environment, self._site.logs))
            if name == "web":
                running.wait_until(self._web_answers, timeout_s=START_S)
        return environment

    def _web_answers(self) -> bool:
        return answers(f"http://127.0.0.1:{self._ports.web}/health")

    def _project(self, client: LabelStudioClient) -> int:
        step = self._steps.begin("Project, ML backend, webhook")
        secrets = self._site.secrets()
        target = Target(
            backend_url=f"http://127.0.0.1:{self._ports.web}",
            label_config=shipped_config().read_text(encoding="utf-8"),
            basic_auth=(secrets.basic_auth_user, secrets.basic_auth_pass),
            webhook_secret=secrets.webhook_secret,
            storage_paths=(str(self._site.clips),),
        )
        connected = connect(client, target, title=TITLE)
        step.finish("connected" if connected.changes else "as it was")
        return connected.project.id

    def _tasks(self, client: LabelStudioClient, project: int) -> int:
        """Import the pairs that are not there yet; how many tasks the project has."""
        present = {task.data.get("video1") for task in client.tasks(project)}
        wanted = [_task(self._site, number) for number in range(len(PAIRS))]
        missing = [task for task in wanted if task["video1"] not in present]
        if missing:
            client.administration.import_tasks(project, [{"data": task} for task in missing])
        return len(present) + len(missing)

    def _judging(self, ledger: Ledger, project: int, version: str, count: int) -> None:
        """Wait until every task is published, failed or skipped.

        Raises:
            ServiceError: a process ended, or nothing moves any more.
        """
        steps = [self._steps.begin(name, count) for name in ("Queued", "Judged", "Published")]
        before, moved = None, time.monotonic()
        while True:
            self._processes.require_alive()
            states = ledger.counts(project, version)
            ended = states[State.FAILED] + states[State.SKIPPED]
            judged = states[State.JUDGED] + states[State.PUBLISHED]
            for step, done in zip(steps, (sum(states.values()), judged, states[State.PUBLISHED]), strict=True):
                step.show(done, count)
            if states[State.PUBLISHED] + ended >= count:
                break
            if states != before:
                before, moved = states, time.monotonic()
            if time.monotonic() - moved > STUCK_S:
                raise ServiceError(f"Nothing has moved for {STUCK_S:.0f} s. Look into the logs in {self._site.logs}.")
            time.sleep(POLL_S)
        for step, done in zip(steps, (count, judged, states[State.PUBLISHED]), strict=True):
            step.finish(f"{done}/{count}")

    def _wait(self, *futures: Future[Any]) -> None:
        """Wait for all, but no longer than every service lives."""
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            self._processes.require_alive()


def _task(site: Site, number: int) -> dict[str, object]:
    pair = PAIRS[number]
    video1, video2 = (f"/data/local-files/?d={path.relative_to(site.files)}" for path in paths(pair, site.clips))
    return {"prompt": pair.prompt, "video1": video1, "video2": video2, "fps1": FPS, "fps2": FPS}


@contextmanager
def _only_one(site: Site) -> Iterator[None]:
    try:
        with locked(site.lock, wait=False):
            yield
    except BlockingIOError:
        raise ServiceError(f"A demo runs in {site.root} already. Stop it with Ctrl-C first.") from None


def _show(console: Console, site: Site, ports: Ports, result: Result) -> None:
    credentials, secrets = result.label_studio.credentials, site.secrets()
    console.print(as_table(result.rows))
    for line in shortcomings(result.rows):
        console.print(line, style="red", highlight=False)
    for name, text in (
        ("Label Studio", f"{result.label_studio.url}/projects/{result.project}/data"),
        ("  login", f"{credentials.user}   password: {credentials.password}"),
        ("Status page", f"http://127.0.0.1:{ports.web}/"),
        ("  login", f"{secrets.basic_auth_user}   password: {secrets.basic_auth_pass}"),
        ("Logs", str(site.logs)),
    ):
        console.print(f"{name:<14}{text}", highlight=False, soft_wrap=True)


def _stay(processes: Processes) -> NoReturn:
    while True:
        processes.require_alive()
        time.sleep(1)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
