"""Connections that go to addresses which were checked, and that end in time."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from backend.label_studio.media.hosts import Resolver, checked_addresses

CONNECT_TIMEOUT_S = 10.0


class Deadline:
    """A moment on the monotonic clock by which everything has to be over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; zero when it is over."""
        return max(0.0, self._end - time.monotonic())


class CheckedNetwork(httpcore.NetworkBackend):
    """Resolves a host once, checks every address it has, and connects to those, not to the name.

    Between a check and a second look-up the name's owner could answer something else; so there is no second one. TLS
    still verifies the name, since only the TCP connection is made by address.
    """

    def __init__(
        self, *, private: bool, resolve: Resolver, deadline: Deadline, tcp: httpcore.NetworkBackend | None = None
    ) -> None:
        self._private = private
        self._resolve = resolve
        self._deadline = deadline
        self._tcp = tcp or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A stream to the first of the host's addresses that answers."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in checked_addresses(host, port, private=self._private, resolve=self._resolve):
            allowed = min(timeout or CONNECT_TIMEOUT_S, self._deadline.left())
            if not allowed:
                raise httpcore.ConnectTimeout("out of time")
            try:
                stream = self._tcp.connect_tcp(address, port, allowed, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return TimedStream(stream, self._deadline)
        raise failure


class TimedStream(httpcore.NetworkStream):
    """A stream whose every wait ends by the deadline, so that a server cannot hold it open byte by byte."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As in httpcore."""
        return self._stream.read(max_bytes, self._allowed(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As in httpcore."""
        self._stream.write(buffer, self._allowed(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """As in httpcore."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """As in httpcore."""
        allowed = self._allowed(timeout, httpcore.ConnectTimeout)
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, allowed), self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # httpcore's signature
        """As in httpcore."""
        return self._stream.get_extra_info(info)

    def _allowed(self, timeout: float | None, error: type[Exception]) -> float:
        left = self._deadline.left()
        if not left:
            raise error("out of time")
        return left if timeout is None else min(timeout, left)
