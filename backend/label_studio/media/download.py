"""One GET of a video: redirects checked hop by hop, the answer judged by its headers, the body not yet read."""

from __future__ import annotations

import hashlib
import re
import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus

import httpcore
import httpx

from backend.errors import MediaError, MediaUnavailableError
from backend.label_studio.media.hosts import HostPolicy, Resolver, parse_url, shown
from backend.label_studio.media.network import CheckedNetwork, Deadline
from backend.label_studio.media.source import Remote

MAX_REDIRECTS = 5
READ_TIMEOUT_S = 30.0
PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.FAILED_DEPENDENCY,  # what Label Studio's storage proxy answers when the storage fails
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
HTML = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class RangeRefusedError(MediaUnavailableError):
    """The server cannot continue where the last try ended; begin anew."""


@dataclass(frozen=True)
class Answer:
    """The head of a usable answer: `start` is the offset of its first byte, `total` the video's size where known.

    `body` yields the bytes as they come off the wire and can be read once, while the connection is open.
    """

    start: int
    total: int | None
    headers: httpx.Headers = field(repr=False)
    body: Iterator[bytes] = field(repr=False)

    @cached_property
    def version(self) -> str:
        """Names this state of the video by ETag and modification time, else by size, else by chance: never the same."""
        marks = f"{self.headers.get('ETag', '')}|{self.headers.get('Last-Modified', '')}"
        known = marks if self.resumable else str(self.total or secrets.token_hex())
        return hashlib.sha256(known.encode()).hexdigest()[:16]

    @property
    def resumable(self) -> bool:
        """Whether later ranges can be known to be of the same state; the size alone says too little for that."""
        return bool(self.headers.get("ETag") or self.headers.get("Last-Modified"))


@dataclass(frozen=True, slots=True)
class Downloader:
    """Sends GETs within the policy; `authorization` gives the header that an address may be sent."""

    policy: HostPolicy
    authorization: Callable[[httpx.URL], Mapping[str, str]]
    resolve: Resolver
    max_bytes: int
    ssl_context: ssl.SSLContext

    @contextmanager
    def get(self, remote: Remote, start: int, deadline: Deadline) -> Iterator[Answer]:
        """The answer to a request for the video from byte `start` on; a server may begin at 0 all the same.

        Raises:
            MediaError: refused address, 404, too large, a web page, a compressed body.
            MediaUnavailableError: connection, time-out, 5xx: another try may do.
        """
        url = remote.url
        for _ in range(MAX_REDIRECTS + 1):
            with self._hop(remote, url, start, deadline) as response:
                headers = httpx.Headers(response.headers)
                if not (300 <= response.status < 400 and "Location" in headers):
                    yield self._judged(remote, response, headers, start)
                    return
                url = _target(url, headers["Location"], remote)
        raise MediaError(f"{remote.name} redirects more than {MAX_REDIRECTS} times.")

    @contextmanager
    def _hop(self, remote: Remote, url: httpx.URL, start: int, deadline: Deadline) -> Iterator[httpcore.Response]:
        private = self.policy.may_be_private(url)
        network = CheckedNetwork(private=private, resolve=self.resolve, deadline=deadline)
        headers: dict[bytes | str, bytes | str] = {
            "Host": url.netloc.decode(),
            "Accept-Encoding": "identity",
            "User-Agent": "vrthinker",
        }
        # Asked for a range, servers tell the whole size, also those that otherwise end a body by closing: without it a
        # broken connection would look like the end of the video.
        headers["Range"] = f"bytes={start}-"
        headers.update(self.authorization(url))
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), READ_TIMEOUT_S)
        with (
            mapped_errors(remote),
            httpcore.ConnectionPool(ssl_context=self.ssl_context, network_backend=network) as pool,
            pool.stream("GET", target, headers=list(headers.items()), extensions={"timeout": timeouts}) as response,
        ):
            yield response

    def _judged(self, remote: Remote, response: httpcore.Response, headers: httpx.Headers, start: int) -> Answer:
        _check_status(remote, response.status, start)
        if headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
            raise MediaError(f"{remote.name} is sent compressed although that was not asked for; it is not unpacked.")
        if headers.get("Content-Type", "").lower().startswith("text/html"):
            raise MediaError(_web_page(remote))
        first, total = _extent(response.status, headers)
        if first not in {0, start}:
            raise MediaUnavailableError(f"{remote.name} was asked for from byte {start} and begins at {first}.")
        if total is not None and total > self.max_bytes:
            raise MediaError(f"{remote.name} has {total} bytes, more than MEDIA_MAX_BYTES allows ({self.max_bytes}).")
        return Answer(first, total, headers, self._counted(remote, response, first))

    def _counted(self, remote: Remote, response: httpcore.Response, start: int) -> Iterator[bytes]:
        """The body, as long as it does not exceed the limit, whatever its headers said."""
        count = start
        with mapped_errors(remote):
            for chunk in response.iter_stream():
                if count == 0 and HTML.match(chunk):
                    raise MediaError(_web_page(remote))
                count += len(chunk)
                if count > self.max_bytes:
                    raise MediaError(f"{remote.name} is larger than MEDIA_MAX_BYTES allows ({self.max_bytes}).")
                yield chunk


@contextmanager
def mapped_errors(remote: Remote) -> Iterator[None]:
    """Turn what httpcore raises into this package's errors; its texts may hold addresses with signatures."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        raise MediaUnavailableError(f"{remote.name} cannot be fetched right now: {_word(error)}.") from None
    except (httpcore.ProtocolError, httpcore.ProxyError, httpcore.UnsupportedProtocol) as error:
        raise MediaError(f"{remote.name} cannot be fetched: {_word(error)}.") from None


def _word(error: Exception) -> str:
    return f"{type(error).__name__} ({error})" if "://" not in str(error) else type(error).__name__


def _target(url: httpx.URL, location: str, remote: Remote) -> httpx.URL:
    try:
        return parse_url(str(url.join(location)))
    except (httpx.InvalidURL, ValueError):
        raise MediaError(f"{remote.name} redirects to something that is not an address: {shown(location)}.") from None


def _check_status(remote: Remote, status: int, start: int) -> None:
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        return
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING:
        raise MediaUnavailableError(f"{remote.name} answers HTTP {status} right now.")
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
        raise RangeRefusedError(f"{remote.name} is not longer than what was fetched of it before.")
    if status == HTTPStatus.NOT_FOUND:
        raise MediaError(
            f"{remote.name} answers HTTP 404. Either it does not exist, or Label Studio hides it: check that the "
            "token's user may see the project and that a storage of the project covers the path."
        )
    raise MediaError(f"{remote.name} answers HTTP {status}.")


def _extent(status: int, headers: httpx.Headers) -> tuple[int, int | None]:
    """Offset of the first byte and the video's size."""
    if status == HTTPStatus.PARTIAL_CONTENT:
        match = CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if match is None:
            raise MediaUnavailableError(f"A part was sent without saying which: {headers.get('Content-Range')!r}.")
        return int(match[1]), int(match[3])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _web_page(remote: Remote) -> str:
    return (
        f"{remote.name} is a web page, not a video: probably a login page. Check LABEL_STUDIO_API_KEY, "
        "or that the address points at the file itself."
    )
