"""Who may come in, and what browsers may do with the answers."""

from __future__ import annotations

import hmac
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import request

from backend.errors import SettingsError
from backend.label_studio.webhook import SECRET_HEADER
from backend.server.answer import refusal

if TYPE_CHECKING:
    from flask import Flask, Response

    from backend.settings import Settings

logger = logging.getLogger(__name__)

NO_WEBHOOK_SECRET = (
    "Webhooks are refused: BASIC_AUTH_USER is set, and Label Studio's webhooks carry no Basic auth. Set WEBHOOK_SECRET "
    f"here and the header {SECRET_HEADER} in the project's webhook in Label Studio."
)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Gate:
    """Basic auth for everything but `/health`, or the secret header for `/webhook`; open where neither is set.

    Label Studio sends Basic auth with what its ML page does (`/setup`, `/predict`, Start Training), but its webhooks
    carry fixed headers only: either one opens `/webhook`.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError` where half of the Basic auth is set."""
        self._user = settings.basic_auth_user.encode()
        self._password = settings.basic_auth_pass.get_secret_value().encode()
        self._secret = settings.webhook_secret.get_secret_value().encode()
        if bool(self._user) != bool(self._password):
            raise SettingsError("Set both BASIC_AUTH_USER and BASIC_AUTH_PASS, or neither: one alone protects nothing.")
        if self.refuses_webhooks:
            logger.warning(NO_WEBHOOK_SECRET)

    @property
    def refuses_webhooks(self) -> bool:
        """Whether Label Studio's webhooks cannot get in at all."""
        return bool(self._user) and not self._secret

    def guard(self, app: Flask) -> None:
        """Check every request of the app, and add the security headers to every answer."""
        app.before_request(self._check)
        app.after_request(_add_headers)

    def _check(self) -> Response | None:
        if request.path == "/health" or self._is_open() or self._knows_the_password() or self._knows_the_secret():
            return None
        if request.path == "/webhook":
            wanted = f"A webhook needs the header {SECRET_HEADER} with the value of WEBHOOK_SECRET."
            return refusal(HTTPStatus.UNAUTHORIZED, NO_WEBHOOK_SECRET if self.refuses_webhooks else wanted)
        wanted = "Name and password do not match BASIC_AUTH_USER and BASIC_AUTH_PASS of the ML backend."
        response = refusal(HTTPStatus.UNAUTHORIZED, wanted)
        response.headers["WWW-Authenticate"] = 'Basic realm="vrthinker", charset="UTF-8"'
        return response

    def _is_open(self) -> bool:
        return not self._user and not (self._secret and request.path == "/webhook")

    def _knows_the_password(self) -> bool:
        """Both are compared, always and in constant time, so that the time taken says nothing about either."""
        sent = request.authorization
        if not self._user or sent is None or sent.type != "basic":
            return False
        user = hmac.compare_digest((sent.username or "").encode(), self._user)
        password = hmac.compare_digest((sent.password or "").encode(), self._password)
        return user and password

    def _knows_the_secret(self) -> bool:
        if request.path != "/webhook" or not self._secret:
            return False
        return hmac.compare_digest(request.headers.get(SECRET_HEADER, "").encode(), self._secret)


def _add_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response
