"""`create_app`: the Flask app from its parts, and `serve`: the process around it."""

from __future__ import annotations

import logging
import signal
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from backend.bootstrap import open_ledger
from backend.errors import LabelConfigError, LedgerError, QueueError, SettingsError, VRThinkerError
from backend.intake import JudgeQueue, LedgerIntake
from backend.jobs.reconciling import Reconciling
from backend.jobs.steering import Steering, Withdrawing
from backend.label_studio.plugin import plugin_class
from backend.log import configure_logging, line
from backend.queue import WorkQueue
from backend.server.answer import refusal
from backend.server.background import Background
from backend.server.buttons import Buttons
from backend.server.gate import NO_WEBHOOK_SECRET, Gate
from backend.server.metrics import Metrics, QueueState, Recorded
from backend.server.page import StatusPage
from backend.server.protocol import MlBackend
from backend.version import model_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from backend.ledger import Ledger
    from backend.settings import Settings

logger = logging.getLogger(__name__)

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class WebQueue(JudgeQueue, QueueState, Withdrawing, Protocol):
    """All that this process does with the queue."""


def create_app(settings: Settings, *, ledger: Ledger | None = None, queue: WebQueue | None = None) -> Flask:
    """The web process's app; `ledger` and `queue` as the settings say, unless given.

    `app.extensions["background"]` is the `Background` that works in webhooks; close it to wait for them.

    Raises:
        SettingsError: the settings contradict each other.
        LedgerError: the ledger cannot be used.
    """
    gate = Gate(settings)
    ledger = ledger or open_ledger(settings)
    reconcile: Callable[[], object] = _nothing
    if queue is None:
        queue = connected = WorkQueue.connect(settings)
        reconcile = Reconciling(ledger, connected).run
    version = model_version(settings)
    metrics, background = Metrics(), Background()
    metrics.registry.register(Recorded(ledger, queue))
    intake = LedgerIntake(ledger, queue, version, metrics.accepted)

    app = Flask(__name__)
    app.extensions["background"] = background
    gate.guard(app)
    _answer_errors(app)
    MlBackend(plugin_class(intake), background, metrics, predict_bytes=settings.web_max_bytes).route(app)
    buttons = Buttons(Steering(ledger, queue, lambda: background.submit("reconcile", reconcile)), version)
    buttons.route(app)
    StatusPage(
        ledger,
        queue,
        model_version=version,
        label_studio_url=settings.public_url,
        warnings=[NO_WEBHOOK_SECRET] if gate.refuses_webhooks else [],
        refusals=intake.refusals,
        token=buttons.token,
    ).route(app)
    app.add_url_rule("/metrics", "metrics", lambda: Response(metrics.text(), content_type=PROMETHEUS))
    return app


def _nothing() -> None:
    """What there is to reconcile with a queue that is not Redis."""


def serve(settings: Settings) -> None:
    """Run the web process until it is told to stop.

    Raises:
        SettingsError: the settings contradict each other, or the port is taken.
        LedgerError: the ledger cannot be used.
    """
    configure_logging(settings.log_level)
    app = create_app(settings)
    server = _listen(app, settings)
    signal.signal(signal.SIGTERM, _stop)
    logger.info(line("serving", host=settings.host, port=settings.port, model_version=model_version(settings)))
    server.run()
    app.extensions["background"].close()


def _listen(app: Flask, settings: Settings) -> Any:  # noqa: ANN401  # waitress has no types
    import waitress

    try:
        return waitress.create_server(
            app,
            host=settings.host,
            port=settings.port,
            threads=settings.web_threads,
            max_request_body_size=settings.web_max_bytes,
            ident=None,
        )
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"Nothing can listen on HOST {settings.host} and PORT {settings.port}: {error}. Choose others."
        ) from None


def _stop(_signal: int, _frame: object) -> NoReturn:
    """As Ctrl-C does: waitress answers what it has begun, then `serve` returns."""
    sys.exit(0)


def _answer_errors(app: Flask) -> None:
    """Every failure becomes one sentence; what only the operator may know goes to the log."""
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(LabelConfigError, _bad_config)
    app.register_error_handler(VRThinkerError, _unavailable)
    app.register_error_handler(Exception, _broken)


def _refused(error: HTTPException) -> Response:
    answer = refusal(error.code or HTTPStatus.INTERNAL_SERVER_ERROR, error.description or error.name)
    own = {name: value for name, value in error.get_headers() if name != "Content-Type"}  # Allow, Retry-After
    answer.headers.update(own)
    return answer


def _bad_config(error: LabelConfigError) -> Response:
    logger.warning(line("labeling config refused", message=error))
    return refusal(HTTPStatus.BAD_REQUEST, str(error))


def _unavailable(error: VRThinkerError) -> Response:
    logger.error(line("request refused", message=error))
    what = {LedgerError: "Its ledger", QueueError: "Its Redis"}.get(type(error), "A part of the backend")
    return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{what} cannot be used right now; its log says why.")


def _broken(error: Exception) -> Response:
    logger.error("request failed", exc_info=error)
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "This request failed inside the backend; its log says why.")
