"""One authenticated connection to Label Studio: tokens, retries, and the one place where library errors are mapped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import tenacity
from pydantic import ValidationError

from backend.errors import (
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioUnauthorizedError,
    LabelStudioUnavailableError,
    LabelStudioUnreadableError,
)

if TYPE_CHECKING:
    from label_studio_sdk.base_client import LabelStudioBase

T = TypeVar("T")

ATTEMPTS = 4
JWT_DOTS = 2  # personal access tokens are JWTs, legacy tokens are not
DETAIL_CHARACTERS = 600
TAG = re.compile(r"<[^>]*>")
WEB_PAGE = re.compile(r"\s*<(!doctype|html)", re.IGNORECASE)
PRIVATE_ADDRESS = "reserved network address"  # Label Studio's words, with HTTP 403
PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
CREDENTIALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Connection:
    """HTTP to one Label Studio with one API key, a personal access token or a legacy token; safe for threads.

    The SDK knows how to turn a personal access token into the short-lived ones that requests carry. Redirects are not
    followed: a request that holds a token goes to the configured address or nowhere.
    """

    def __init__(self, url: str, api_key: str, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._api_key = api_key.strip()
        self._is_personal = self._api_key.count(".") == JWT_DOTS
        self._timeout_s = timeout_s
        self._http = httpx.Client(timeout=timeout_s, follow_redirects=False)
        self._session: LabelStudioBase | None = None

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def sdk(self, doing: str, call: Callable[[LabelStudioBase], T], *, repeatable: bool = True) -> T:
        """What `call` gets from the SDK; `doing` names it in messages; only what is `repeatable` is tried again.

        Raises:
            LabelStudioUnavailableError: Label Studio cannot be reached right now.
            LabelStudioError: Label Studio refuses.
        """
        return self._attempt(doing, lambda: call(self._sdk()), repeatable=repeatable)

    def request(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        repeatable: bool = True,
        timeout_s: float | None = None,
    ) -> Any:  # noqa: ANN401  # JSON of any shape
        """The JSON of one request that the SDK has no good call for; errors as in `sdk`."""

        def send() -> Any:  # noqa: ANN401  # JSON of any shape
            response = self._http.request(
                method,
                f"{self.url}/{path}",
                params=params,
                json=json,
                headers={"Authorization": self.authorization()},
                timeout=timeout_s or self._timeout_s,
            )
            response.raise_for_status()
            return response.json() if response.content else None

        return self._attempt(doing, send, repeatable=repeatable)

    def authorization(self) -> str:
        """The value of the Authorization header, fresh for each request: access tokens live five minutes."""
        with mapped_errors("authenticate", self.url):
            headers: dict[str, str] = self._sdk()._client_wrapper.get_headers()
            return headers["Authorization"]

    def _attempt(self, doing: str, call: Callable[[], T], *, repeatable: bool) -> T:
        try:
            return self._with_retries(doing, call, repeatable=repeatable)
        except LabelStudioUnauthorizedError:
            if not self._is_personal:
                raise
            # An access token may end between its check here and its use there, or the clocks differ: begin anew, once.
            self._session = None
            return self._with_retries(doing, call, repeatable=repeatable)

    def _with_retries(self, doing: str, call: Callable[[], T], *, repeatable: bool) -> T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(LabelStudioUnavailableError),
            stop=tenacity.stop_after_attempt(ATTEMPTS if repeatable else 1),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        for attempt in retrying:
            with attempt, mapped_errors(doing, self.url):
                return call()
        raise AssertionError("tenacity ends by returning or raising")

    def _sdk(self) -> LabelStudioBase:
        if not (self._api_key.isascii() and self._api_key.isprintable() and self._api_key):
            raise LabelStudioUnauthorizedError(
                f"There is no usable API key for Label Studio at {self.url}: set LABEL_STUDIO_API_KEY to a personal "
                "access token (Account & Settings > Personal Access Token)."
            )
        session = self._session
        if session is None:
            # The SDK's own `LabelStudio` imports pandas (150 MB) for exports; its base has every call but those.
            from label_studio_sdk.base_client import LabelStudioBase

            self._session = session = LabelStudioBase(
                base_url=f"{self.url}/",  # with the slash, or its token refresh loses a path prefix
                api_key=self._api_key,
                timeout=self._timeout_s,
                max_retries=0,  # it would repeat POSTs too
                httpx_client=self._http,
            )
        return session  # kept in a variable, since another thread may begin anew at any moment


@contextmanager
def mapped_errors(doing: str, url: str) -> Iterator[None]:
    """Turn what the SDK, httpx and JSON raise into this package's errors; the only place that knows theirs."""
    from label_studio_sdk.core.api_error import ApiError
    from label_studio_sdk.core.parse_error import ParsingError

    try:
        yield
    except ApiError as error:
        raise _refused(doing, url, error.status_code or 0, error.body) from None
    except httpx.HTTPStatusError as error:
        raise _refused(doing, url, error.response.status_code, _body(error.response)) from None
    except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as error:
        raise LabelStudioUnavailableError(
            f"Label Studio at {url} cannot be reached to {doing}: {_words(error)}. "
            "Check LABEL_STUDIO_URL and whether Label Studio runs."
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict) as error:
        raise LabelStudioError(
            f"Label Studio at {url} cannot be asked to {doing}: {_words(error)}. Check LABEL_STUDIO_URL."
        ) from None
    except (ParsingError, JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise LabelStudioUnreadableError(
            f"What answers at {url} to {doing} does not look like Label Studio ({type(error).__name__}). "
            "Check LABEL_STUDIO_URL."
        ) from None


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip().rstrip(".")


def _refused(doing: str, url: str, status: int, body: object) -> LabelStudioError:
    detail = _detail(body)
    said = " ".join(part for part in (f"Label Studio at {url} refused to {doing}: HTTP {status}.", detail) if part)
    if PRIVATE_ADDRESS in detail:
        return LabelStudioError(
            f"{said} Label Studio refuses private addresses by default: start it with "
            "LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false."
        )
    if status in CREDENTIALS:
        return LabelStudioUnauthorizedError(
            f"{said} Check LABEL_STUDIO_API_KEY: a personal access token, or a legacy token where the organisation "
            "allows those, of a user who may see the project."
        )
    if status == HTTPStatus.NOT_FOUND:
        return LabelStudioNotFoundError(f"{said} It was deleted, or this user may not see it.")
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return LabelStudioUnavailableError(f"{said} Try again later.")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return LabelStudioUnreadableError(f"{said} It redirects: set LABEL_STUDIO_URL to the address it redirects to.")
    return LabelStudioError(said)


def _body(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return response.text


def _detail(body: object) -> str:
    """The words of an error answer as a sentence, without its ids, stack traces and HTML."""
    if isinstance(body, Mapping):
        parts = (body.get("detail"), body.get("validation_errors") or body.get("error"))
        text = ": ".join(str(part) for part in parts if part)
    else:
        text = str(body or "")
    if WEB_PAGE.match(text):
        return ""
    words = TAG.sub("", text)[:DETAIL_CHARACTERS].strip().rstrip(".")
    return f"{words}." if words else ""
