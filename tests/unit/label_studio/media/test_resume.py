"""Interrupted, ranged and changing downloads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from backend.errors import MediaError, MediaUnavailableError
from tests.unit.label_studio.servers import Exchange, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.label_studio.media.conftest import MakeFetcher

PATH = "/data/upload/1/a.mp4"
VIDEO = bytes(range(256)) * 400
OTHER = VIDEO[::-1]


class VideoServer:
    """Serves `video` in ranges like a web server; breaks off after `limit` bytes while `breaks` lasts."""

    def __init__(self, video: bytes = VIDEO, etag: str = '"one"', limit: int = 0, breaks: int = 0) -> None:
        self.video = video
        self.etag = etag
        self.limit = limit
        self.breaks = breaks
        self.ranges = True

    def __call__(self, exchange: Exchange) -> None:
        start = int(re.findall(r"bytes=(\d+)-", exchange.asked.headers["range"])[0])
        total = len(self.video)
        marks = {"etag": self.etag} if self.etag else {}
        if not self.ranges:
            exchange.begin(200, content_length=str(total), **marks)
            start = 0
        elif start >= total:
            exchange.answer(416, content_range=f"bytes */{total}")
            return
        else:
            span = f"bytes {start}-{total - 1}/{total}"
            exchange.begin(206, content_range=span, content_length=str(total - start), **marks)
        if self.breaks:
            self.breaks -= 1
            exchange.wfile.write(self.video[start : start + self.limit])
            exchange.wfile.flush()
            exchange.connection.close()
            exchange.close_connection = True
            return
        exchange.wfile.write(self.video[start:])


def asked_ranges(server: object) -> list[str]:
    return [asked.headers["range"] for asked in server.requests]  # type: ignore[attr-defined]


def test_goes_on_where_the_connection_broke(make_fetcher: MakeFetcher) -> None:
    with serving(VideoServer(limit=1000, breaks=2)) as server, make_fetcher(server.url).fetch(PATH) as path:
        assert path.read_bytes() == VIDEO
    assert asked_ranges(server) == ["bytes=0-", "bytes=1000-", "bytes=2000-"]


def test_the_next_try_of_the_job_goes_on_too(make_fetcher: MakeFetcher) -> None:
    with serving(VideoServer(limit=1000, breaks=4)) as server:
        with pytest.raises(MediaUnavailableError), make_fetcher(server.url).fetch(PATH):
            pass
        with make_fetcher(server.url).fetch(PATH) as path:
            assert path.read_bytes() == VIDEO
    assert asked_ranges(server) == [f"bytes={start}-" for start in (0, 1000, 2000, 3000, 4000)]


def test_begins_anew_when_the_video_changed_meanwhile(make_fetcher: MakeFetcher) -> None:
    video_server = VideoServer(limit=1000, breaks=3)
    with serving(video_server) as server:
        with pytest.raises(MediaUnavailableError), make_fetcher(server.url).fetch(PATH):
            pass
        video_server.video, video_server.etag = OTHER, '"two"'
        with make_fetcher(server.url).fetch(PATH) as path:
            assert path.read_bytes() == OTHER
    assert asked_ranges(server)[3:] == ["bytes=3000-", "bytes=0-"]


def test_begins_anew_when_the_video_shrank_meanwhile(make_fetcher: MakeFetcher) -> None:
    video_server = VideoServer(limit=1000, breaks=3)
    with serving(video_server) as server:
        with pytest.raises(MediaUnavailableError), make_fetcher(server.url).fetch(PATH):
            pass
        video_server.video, video_server.etag = VIDEO[:500], '"two"'
        with make_fetcher(server.url).fetch(PATH) as path:
            assert path.read_bytes() == VIDEO[:500]


def test_begins_anew_when_the_server_knows_no_ranges(make_fetcher: MakeFetcher) -> None:
    video_server = VideoServer(limit=1000, breaks=2)
    video_server.ranges = False
    with serving(video_server) as server, make_fetcher(server.url).fetch(PATH) as path:
        assert path.read_bytes() == VIDEO


def test_goes_on_with_nothing_that_it_cannot_tell_apart(make_fetcher: MakeFetcher) -> None:
    video_server = VideoServer(etag="", limit=1000, breaks=2)
    with serving(video_server) as server, make_fetcher(server.url).fetch(PATH) as path:
        assert path.read_bytes() == VIDEO
    assert asked_ranges(server) == ["bytes=0-"] * 3


def test_takes_a_video_that_is_handed_out_range_by_range(make_fetcher: MakeFetcher) -> None:
    def in_parts(exchange: Exchange) -> None:
        start = int(re.findall(r"bytes=(\d+)-", exchange.asked.headers["range"])[0])
        part = VIDEO[start : start + 30_000]
        span = f"bytes {start}-{start + len(part) - 1}/{len(VIDEO)}"
        exchange.answer(206, part, content_range=span, etag='"one"')

    with serving(in_parts) as server, make_fetcher(server.url).fetch(PATH) as path:
        assert path.read_bytes() == VIDEO
    assert asked_ranges(server) == ["bytes=0-", "bytes=30000-", "bytes=60000-", "bytes=90000-"]


@pytest.mark.parametrize("content_range", ["", "bytes", "bytes 0-9/*", "bytes x-y/z", "bytes 5-9/10"])
def test_a_part_of_unknown_place_is_no_video(make_fetcher: MakeFetcher, content_range: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.answer(206, VIDEO[:10], content_range=content_range, etag='"one"')

    with serving(answer) as server:
        with pytest.raises(MediaUnavailableError), make_fetcher(server.url).fetch(PATH):
            pass
        assert len(server.requests) == 3


def test_a_body_shorter_than_its_range_is_no_video(make_fetcher: MakeFetcher) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.answer(206, b"", content_range="bytes 0-9/10", etag='"one"')

    with (
        serving(answer) as server,
        pytest.raises(MediaUnavailableError, match="ended at byte 0 of 10"),
        make_fetcher(server.url).fetch(PATH),
    ):
        pass


def test_a_body_longer_than_its_range_is_no_video(make_fetcher: MakeFetcher) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.answer(206, b"v" * 20, content_range="bytes 0-9/10", etag='"one"')

    with serving(answer) as server:
        with pytest.raises(MediaUnavailableError, match="byte 20 of 10"), make_fetcher(server.url).fetch(PATH):
            pass
        assert len(server.requests) == 3


def test_a_wrong_content_length_is_not_believed(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    def short(exchange: Exchange) -> None:
        exchange.begin(200, content_length=str(len(VIDEO) + 100))
        exchange.wfile.write(VIDEO)
        exchange.wfile.flush()
        exchange.connection.close()
        exchange.close_connection = True

    with serving(short) as server, pytest.raises(MediaUnavailableError), make_fetcher(server.url).fetch(PATH):
        pass
    assert not list((tmp_path / "cache").glob("*/*.media"))


def test_keeps_nothing_of_what_is_refused(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.begin(200, transfer_encoding="chunked", etag='"one"')
        while True:
            exchange.wfile.write(b"10000\r\n" + b"v" * 0x10000 + b"\r\n")

    with serving(endless) as server, pytest.raises(MediaError), make_fetcher(server.url, max_bytes=1000).fetch(PATH):
        pass
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
