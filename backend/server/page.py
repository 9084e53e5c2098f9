"""The status page: what Label Studio does not say, read from the ledger and from Redis at each request."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import render_template, request

from backend.agreement.calibration import LEAST_ANSWERS
from backend.errors import LedgerError, QueueError, TaskDataError
from backend.ledger import State
from backend.log import line
from backend.server.chart import WORDS, AgreementView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask import Flask

    from backend.agreement.calibration import Fit
    from backend.ledger import Agreement, ExportRequest, FailureGroup, Ledger, VersionCounts
    from backend.queue import QueueCounts, WorkerInfo
    from backend.server.metrics import QueueState

logger = logging.getLogger(__name__)

REFRESH_S = 3  # with the second after which answers are compared, and the page's own time, below five


@dataclass(frozen=True, slots=True)
class VersionView:
    """One model version of a project: its counts, what failed and what is tried again, and what people answered."""

    model_version: str
    states: Mapping[State, int]
    blind: int
    failures: Sequence[FailureGroup]
    delays: Sequence[FailureGroup]
    agreement: Sequence[AgreementView]
    calibration: Fit | None


@dataclass(frozen=True, slots=True)
class ProjectView:
    """One project: its versions, the current one first, and its speed in judgements per second.

    `uncompared` tasks have answers that are not counted in the agreement yet. `export` is the latest that Start
    Training asked for.
    """

    id: int
    title: str
    versions: Sequence[VersionView]
    rate: float
    paused: bool
    automatic: bool
    uncompared: int
    export: ExportRequest | None

    @property
    def to_go_s(self) -> float | None:
        """Seconds until nothing is queued at this speed; None where nothing moves or nothing waits."""
        queued = sum(version.states[State.QUEUED] for version in self.versions)
        return queued / self.rate if queued and self.rate else None


class StatusPage:
    """`/` as HTML without JavaScript; what cannot be reached is said on the page.

    `warnings` are always shown; `refusals` tells why a project's labeling config cannot be used; `token` goes into the
    forms, see `Buttons`.
    """

    def __init__(
        self,
        ledger: Ledger,
        queue: QueueState,
        *,
        model_version: str,
        label_studio_url: str,
        warnings: Sequence[str],
        refusals: Callable[[], Mapping[int, str]],
        token: str,
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._model_version = model_version
        self._label_studio_url = label_studio_url
        self._warnings = warnings
        self._refusals = refusals
        self._token = token

    def route(self, app: Flask) -> None:
        """Add the page's route and what its template uses."""
        app.add_url_rule("/", view_func=self.show)
        app.add_template_filter(_ago, "ago")
        app.add_template_filter(_duration, "duration")

    def show(self) -> str:
        """The page as it is now; with `?refresh=0` it stays so, for readers whom a reload takes out of their place."""
        notices = list(self._warnings)
        projects = self._projects(notices)
        counts, workers = self._workers(notices)
        return render_template(
            "status.html",
            refresh_s=0 if request.args.get("refresh") == "0" else REFRESH_S,
            model_version=self._model_version,
            label_studio=self._label_studio_url,
            now=datetime.now(UTC),
            notices=notices,
            refusals=self._refusals(),
            projects=projects,
            counts=counts,
            workers=workers,
            token=self._token,
            judgeless=TaskDataError.reason,
            chart_words=WORDS,
            least_answers=LEAST_ANSWERS,
        )

    def _projects(self, notices: list[str]) -> list[ProjectView]:
        try:
            versions, known, paused = self._ledger.versions(), self._ledger.projects(), self._ledger.paused()
            if paused.everything:
                notices.append("Everything is paused: nothing new is begun until vrthinker resume.")
            agreement = self._ledger.agreement()
            exports = {export.project: export for export in self._ledger.export_requests()}
            titles = {project.id: project.title for project in known}
            ids = sorted({version.project for version in versions} | titles.keys() | exports.keys())
            return [
                self._project(
                    number,
                    titles.get(number, ""),
                    versions,
                    agreement,
                    exports.get(number),
                    paused=number in paused.projects,
                )
                for number in ids
            ]
        except LedgerError as error:
            logger.warning(line("not shown", part="ledger", message=error))
            notices.append("The ledger cannot be read, so no counts are shown. The log of the web process says why.")
            return []

    def _project(
        self,
        number: int,
        title: str,
        versions: Sequence[VersionCounts],
        agreement: Sequence[Agreement],
        export: ExportRequest | None,
        *,
        paused: bool,
    ) -> ProjectView:
        mine = [version for version in versions if version.project == number]
        mine.sort(key=lambda version: (version.model_version != self._model_version, version.model_version))
        return ProjectView(
            number,
            title,
            [self._version(one, agreement) for one in mine],
            self._ledger.rate(number),
            paused,
            self._ledger.is_automatic(number),
            self._ledger.uncompared(number),
            export,
        )

    def _version(self, counts: VersionCounts, agreement: Sequence[Agreement]) -> VersionView:
        place = (counts.project, counts.model_version)
        answers = [AgreementView(one) for one in agreement if (one.project, one.model_version) == place]
        failures, delays = self._ledger.failures(*place), self._ledger.delays(*place)
        calibration = self._ledger.calibration(*place)
        return VersionView(counts.model_version, counts.states, counts.blind, failures, delays, answers, calibration)

    def _workers(self, notices: list[str]) -> tuple[QueueCounts | None, Sequence[WorkerInfo]]:
        try:
            counts, workers = self._queue.counts(), self._queue.workers()
        except QueueError as error:
            logger.warning(line("not shown", part="redis", message=error))
            notices.append("Redis cannot be reached: nothing is judged until it is back. Queued tasks are kept.")
            return None, ()
        for version, count in counts.without_worker(workers).items():
            notices.append(
                f"{count} tasks wait for model version {version}, and no worker of it is alive. Start vrthinker worker "
                "with its settings, or give them up with vrthinker cancel."
            )
        return counts, workers


def _ago(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{_duration((now - moment).total_seconds())} ago"


def _duration(seconds: float) -> str:
    """The two largest units: `2 h 5 min`, `3 min 20 s`, `4 s`."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
