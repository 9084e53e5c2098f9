"""Connections to checked addresses that end in time."""

from __future__ import annotations

from typing import Any

import httpcore
import pytest

from backend.errors import MediaError
from backend.label_studio.media.network import CheckedNetwork, Deadline, TimedStream

ONE, TWO = "93.184.216.34", "93.184.216.35"


class FakeTcp(httpcore.NetworkBackend):
    """Remembers where it was to connect to; refuses the addresses in `down`."""

    def __init__(self, down: tuple[str, ...] = ()) -> None:
        self.down = down
        self.tried: list[tuple[str, int]] = []

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        self.tried.append((host, port))
        if host in self.down:
            raise httpcore.ConnectError("refused")
        return httpcore.MockStream([b"first", b"second"])


class Names:
    """A resolver whose answers are given; it fails when asked more often."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    def __call__(self, host: str, port: int) -> list[str]:
        return self.answers.pop(0)


def network(tcp: FakeTcp, names: Names, *, private: bool = False, seconds: float = 60.0) -> CheckedNetwork:
    return CheckedNetwork(private=private, resolve=names, deadline=Deadline(seconds), tcp=tcp)


def test_connects_to_the_address_that_was_checked_not_to_the_name() -> None:
    tcp, names = FakeTcp(), Names([ONE])
    network(tcp, names).connect_tcp("rebinding.example.com", 443)
    assert tcp.tried == [(ONE, 443)]
    assert names.answers == []


def test_connects_to_nothing_when_one_of_the_addresses_is_private() -> None:
    tcp = FakeTcp()
    with pytest.raises(MediaError):
        network(tcp, Names([ONE, "127.0.0.1"])).connect_tcp("mixed.example.com", 443)
    assert tcp.tried == []


def test_tries_the_next_address_when_one_is_down() -> None:
    tcp = FakeTcp(down=(ONE,))
    stream = network(tcp, Names([ONE, TWO])).connect_tcp("videos.example.com", 443)
    assert stream.read(100) == b"first"
    assert tcp.tried == [(ONE, 443), (TWO, 443)]


def test_fails_when_all_addresses_are_down() -> None:
    with pytest.raises(httpcore.ConnectError):
        network(FakeTcp(down=(ONE, TWO)), Names([ONE, TWO])).connect_tcp("videos.example.com", 443)


def test_connects_to_nothing_after_the_deadline() -> None:
    tcp = FakeTcp()
    with pytest.raises(httpcore.ConnectTimeout):
        network(tcp, Names([ONE]), seconds=0).connect_tcp("videos.example.com", 443)
    assert tcp.tried == []


def test_no_wait_is_longer_than_what_is_left() -> None:
    class Silent(httpcore.NetworkStream):
        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            waits.append(timeout or 0.0)
            return b""

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            waits.append(timeout or 0.0)

    waits: list[float] = []
    stream = TimedStream(Silent(), Deadline(5))
    stream.read(100, timeout=30)
    stream.read(100)
    stream.write(b"request", timeout=30)
    stream.read(100, timeout=0.25)
    assert [0 < wait <= 5 for wait in waits] == [True] * 4
    assert waits[-1] == 0.25


def test_reads_and_writes_nothing_after_the_deadline() -> None:
    stream = network(FakeTcp(), Names([ONE]), seconds=60).connect_tcp("videos.example.com", 443)
    stream.write(b"request")
    assert stream.read(100) == b"first"
    late = CheckedNetwork(private=True, resolve=Names([ONE]), deadline=_ending_after(calls=1), tcp=FakeTcp())
    stream = late.connect_tcp("videos.example.com", 443)
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(100)
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(b"request")


def _ending_after(calls: int) -> Deadline:
    """A deadline that is over after it was asked that often."""

    class Counted(Deadline):
        def left(self) -> float:
            nonlocal calls
            calls -= 1
            return 1.0 if calls >= 0 else 0.0

    return Counted(0)
