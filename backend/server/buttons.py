"""The status page's buttons: plain forms, which no other web site can press."""

from __future__ import annotations

import hmac
import logging
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, redirect, request, url_for

from backend.errors import QueueError
from backend.label_studio.plugin import MAX_ID
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from werkzeug.wrappers import Response

    from backend.jobs.steering import Steering

logger = logging.getLogger(__name__)

FORM_BYTES = 10_000


class Buttons:
    """Retry, pause and resume, behind the same gate as the page.

    A browser sends its Basic auth with whatever form another site makes it send. So a form must carry `token`, which
    only someone who may read the page knows, and must not come from another site. The token is of this process: after
    a restart a page that is still open is refused once, and loads itself anew.
    """

    def __init__(self, steering: Steering, model_version: str) -> None:
        self.token = secrets.token_urlsafe(32)
        self._steering = steering
        self._model_version = model_version

    def route(self, app: Flask) -> None:
        """Add the routes."""
        for action, press in (("retry", self._retry), ("pause", self._pause), ("resume", self._resume)):
            # 0 would mean every project in the ledger, and no database takes more than MAX_ID.
            address = f"/projects/<int(min=1, max={MAX_ID}):project>/{action}"
            app.add_url_rule(address, action, self._pressed(press), methods=["POST"])

    def _pressed(self, press: Callable[[int], object]) -> Callable[[int], Response]:
        def answer(project: int) -> Response:
            self._require_own_form()
            try:
                press(project)
            except QueueError as error:  # the ledger has it; the publisher does the rest when Redis is back
                logger.warning(line("not reconciled", project=project, message=error))
            page = url_for("show", refresh=0) if request.form.get("refresh") == "0" else url_for("show")
            return redirect(page, HTTPStatus.SEE_OTHER)

        return answer

    def _require_own_form(self) -> None:
        request.max_content_length = FORM_BYTES
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "null")
        if site is None and origin != "null" and urlsplit(origin).netloc != request.host:
            site = "cross-site"  # from a browser without Sec-Fetch-Site
        sent = request.form.get("token", "")
        if site not in (None, "same-origin") or not hmac.compare_digest(sent.encode(), self.token.encode()):
            abort(HTTPStatus.FORBIDDEN, "This form is out of date or of another site. Open the status page again.")

    def _retry(self, project: int) -> None:
        reason = request.form.get("reason", "")
        again = self._steering.retry(project, self._model_version, (reason,) if reason else ())
        logger.info(line("retried", project=project, reason=reason or "all", tasks=again))

    def _pause(self, project: int) -> None:
        logger.info(line("paused", project=project, withdrawn=self._steering.pause(project)))

    def _resume(self, project: int) -> None:
        self._steering.resume(project)
        logger.info(line("resumed", project=project))
