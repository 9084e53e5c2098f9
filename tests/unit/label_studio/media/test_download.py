"""Downloads from real servers, friendly and hostile ones."""

from __future__ import annotations

import gzip
import socket
import threading
import traceback
from typing import TYPE_CHECKING

import pytest

from backend.errors import MediaError, MediaUnavailableError
from tests.unit.label_studio.media.conftest import TOKEN
from tests.unit.label_studio.servers import Exchange, Respond, serving

if TYPE_CHECKING:
    from tests.unit.label_studio.media.conftest import MakeFetcher

VIDEO = bytes(range(256)) * 400
PATH = "/data/upload/1/a.mp4"


def redirecting(to: str, status: int = 302) -> Respond:
    return lambda exchange: exchange.answer(status, location=to)


def sending(body: bytes = VIDEO, status: int = 200, **headers: str) -> Respond:
    return lambda exchange: exchange.answer(status, body, **headers)


def test_fetches_a_video_with_the_token(make_fetcher: MakeFetcher) -> None:
    with serving(sending(content_type="video/mp4")) as server, make_fetcher(server.url).fetch(PATH) as path:
        assert path.read_bytes() == VIDEO
    [asked] = server.requests
    assert asked.headers["authorization"] == TOKEN["Authorization"]
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"


def test_sends_no_token_to_what_is_not_media_of_label_studio(make_fetcher: MakeFetcher) -> None:
    with serving(sending()) as server, make_fetcher(server.url).fetch(f"{server.url}/videos/a.mp4") as path:
        assert path.read_bytes() == VIDEO
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(("place", "trusted"), [("/label-studio", True), ("", False), ("/label-studio-2", False)])
def test_another_application_on_label_studios_host_gets_no_token(
    make_fetcher: MakeFetcher, place: str, trusted: bool
) -> None:
    with serving(sending()) as server, make_fetcher(f"{server.url}/label-studio").fetch(f"{server.url}{place}{PATH}"):
        pass
    assert ("authorization" in server.requests[0].headers) is trusted


@pytest.mark.parametrize("path", ["/k.mp4?X-Amz-Signature=signed", PATH])
def test_drops_the_token_when_a_redirect_leaves_label_studio(make_fetcher: MakeFetcher, path: str) -> None:
    with (
        serving(sending()) as storage,
        serving(redirecting(f"{storage.url}{path}", 303)) as server,
        make_fetcher(server.url, private_hosts=[f"127.0.0.1:{storage.port}"]).fetch("s3://bucket/k.mp4", 5) as video,
    ):
        assert video.read_bytes() == VIDEO
    assert server.requests[0].headers["authorization"] == TOKEN["Authorization"]
    assert storage.requests[0].path == path
    assert "authorization" not in storage.requests[0].headers


def test_a_redirect_back_to_label_studio_gets_the_token_again(make_fetcher: MakeFetcher) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.path == PATH:
            exchange.answer(200, VIDEO)
        else:
            exchange.answer(302, location=PATH)

    with serving(answer) as server, make_fetcher(server.url).fetch("/data/upload/1/old.mp4") as path:
        assert path.read_bytes() == VIDEO
    assert [asked.headers.get("authorization") for asked in server.requests] == [TOKEN["Authorization"]] * 2


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "http://127.0.0.1:1/a.mp4",
        "http://127.0.0.1/a.mp4",
        "http://localhost/a.mp4",
        "http://[::1]/a.mp4",
        "https://evil.com/a.mp4",
        "//evil.com/a.mp4",
        "http://videos.example.com@evil.com/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.mp4",
    ],
)
def test_refuses_redirects_elsewhere(make_fetcher: MakeFetcher, target: str) -> None:
    with (
        serving(redirecting(target)) as server,
        pytest.raises(MediaError) as caught,
        make_fetcher(server.url).fetch(PATH),
    ):
        pass
    assert not caught.value.retryable
    assert len(server.requests) == 1


def test_refuses_a_redirect_to_another_port_of_label_studios_host(make_fetcher: MakeFetcher) -> None:
    with serving(sending()) as other, serving(redirecting(f"{other.url}{PATH}")) as server:
        with pytest.raises(MediaError, match="MEDIA_HOSTS"), make_fetcher(server.url).fetch(PATH):
            pass
        assert other.requests == []


def test_gives_up_on_redirects_in_a_circle(make_fetcher: MakeFetcher) -> None:
    with (
        serving(redirecting(PATH)) as server,
        pytest.raises(MediaError, match="redirects more than 5 times"),
        make_fetcher(server.url).fetch(PATH),
    ):
        pass


def test_connects_by_address_and_asks_by_name(make_fetcher: MakeFetcher) -> None:
    with serving(sending()) as server:
        host = f"videos.example.com:{server.port}"
        fetcher = make_fetcher("http://label-studio", private_hosts=[host], resolve=lambda *_: ["127.0.0.1"])
        with fetcher.fetch(f"http://{host}/a.mp4") as path:
            assert path.read_bytes() == VIDEO
        assert server.requests[0].headers["host"] == host


def test_connects_to_no_public_host_that_also_resolves_to_this_machine(make_fetcher: MakeFetcher) -> None:
    with serving(sending()) as server:
        host = f"videos.example.com:{server.port}"
        resolve = lambda *_: ["93.184.216.34", "127.0.0.1"]  # noqa: E731
        fetcher = make_fetcher("http://label-studio", hosts=[host], resolve=resolve)
        with pytest.raises(MediaError, match=r"127\.0\.0\.1"), fetcher.fetch(f"http://{host}/a.mp4"):
            pass
        assert server.requests == []


def test_https_is_asked_for_by_name_and_its_certificate_is_checked(make_fetcher: MakeFetcher) -> None:
    greetings = []

    def greet(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            greetings.append(connection.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, args=(listener,), daemon=True).start()
        host = f"videos.example.com:{listener.getsockname()[1]}"
        fetcher = make_fetcher("http://ls", private_hosts=[host], resolve=lambda *_: ["127.0.0.1"], timeout_s=0.5)
        with pytest.raises(MediaUnavailableError), fetcher.fetch(f"https://{host}/a.mp4"):
            pass
    assert b"videos.example.com" in greetings[0]


@pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 404, 410, 416])
def test_does_not_try_again_what_will_not_pass(make_fetcher: MakeFetcher, status: int) -> None:
    with serving(lambda exchange: exchange.answer(status)) as server:
        with pytest.raises(MediaError, match=f"HTTP {status}") as caught, make_fetcher(server.url).fetch(PATH):
            pass
        assert not caught.value.retryable
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 424, 425, 429, 500, 502, 503, 504])
def test_tries_again_what_may_pass(make_fetcher: MakeFetcher, status: int) -> None:
    with serving(lambda exchange: exchange.answer(status)) as server:
        with pytest.raises(MediaUnavailableError, match=f"HTTP {status}"), make_fetcher(server.url).fetch(PATH):
            pass
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [302, 404, 500])
def test_no_message_holds_a_signature(make_fetcher: MakeFetcher, status: int) -> None:
    location = "http://evil.com/?X-Amz-Signature=signed"
    with serving(lambda exchange: exchange.answer(status, location=location)) as server:
        reference = f"{server.url}/k.mp4?X-Amz-Signature=signed"
        with pytest.raises(MediaError) as caught, make_fetcher(server.url).fetch(reference):
            pass
    assert "signed" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "video/mp4"])
def test_a_login_page_is_no_video(make_fetcher: MakeFetcher, kind: str) -> None:
    with (
        serving(sending(b"\n<!DOCTYPE html><html><title>Log in</title></html>", content_type=kind)) as server,
        pytest.raises(MediaError, match="login page") as caught,
        make_fetcher(server.url).fetch(PATH),
    ):
        pass
    assert not caught.value.retryable


def test_unpacks_no_compressed_body(make_fetcher: MakeFetcher) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    with (
        serving(sending(bomb, content_encoding="gzip")) as server,
        pytest.raises(MediaError, match="compressed"),
        make_fetcher(server.url).fetch(PATH),
    ):
        pass


def test_refuses_a_video_that_says_it_is_too_large(make_fetcher: MakeFetcher) -> None:
    with (
        serving(sending()) as server,
        pytest.raises(MediaError, match="MEDIA_MAX_BYTES"),
        make_fetcher(server.url, max_bytes=len(VIDEO) - 1).fetch(PATH),
    ):
        pass


def test_takes_a_video_as_large_as_allowed(make_fetcher: MakeFetcher) -> None:
    with serving(sending()) as server, make_fetcher(server.url, max_bytes=len(VIDEO)).fetch(PATH) as path:
        assert path.read_bytes() == VIDEO


def test_stops_reading_a_body_without_end(make_fetcher: MakeFetcher) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.begin(200, transfer_encoding="chunked")
        while True:
            exchange.wfile.write(b"10000\r\n" + b"v" * 0x10000 + b"\r\n")

    with (
        serving(endless) as server,
        pytest.raises(MediaError, match="MEDIA_MAX_BYTES"),
        make_fetcher(server.url, max_bytes=1_000_000).fetch(PATH),
    ):
        pass


@pytest.mark.parametrize("part", ["head", "body"])
def test_gives_up_on_a_server_that_drips(make_fetcher: MakeFetcher, part: str) -> None:
    stop = threading.Event()

    def drip(exchange: Exchange) -> None:
        if part == "body":
            exchange.begin(200, content_length="1000000")
        else:
            exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stop.wait(0.02):
            exchange.wfile.write(b"v")

    with serving(drip) as server:
        with pytest.raises(MediaUnavailableError), make_fetcher(server.url, timeout_s=0.5).fetch(PATH):
            pass
        stop.set()


def test_a_server_that_is_down_may_come_back(make_fetcher: MakeFetcher) -> None:
    with serving(sending()) as server:
        url = server.url
    with pytest.raises(MediaUnavailableError), make_fetcher(url).fetch(PATH):
        pass
