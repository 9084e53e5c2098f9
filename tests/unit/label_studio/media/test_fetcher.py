"""What is kept of fetched videos, for how long, and between processes."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from backend.bootstrap import connect_label_studio, open_fetcher
from backend.errors import LabelStudioError, MediaError, MediaUnavailableError, SettingsError
from backend.label_studio.media import MediaFetcher
from backend.label_studio.media.cache import Cache
from backend.label_studio.media.network import Deadline
from backend.settings import Settings
from tests.unit.label_studio.servers import Exchange, Respond, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.label_studio.media.conftest import MakeFetcher

VIDEO = b"video" * 1000
PATH = "/data/upload/1/a.mp4"


def sending(body: bytes = VIDEO, **headers: str) -> Respond:
    return lambda exchange: exchange.answer(200, body, **headers)


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*/*.*"))


@pytest.mark.parametrize("marks", [{"etag": '"one"'}, {"last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, {}])
def test_reads_no_body_twice(make_fetcher: MakeFetcher, marks: dict[str, str]) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.begin(200, content_length=str(len(VIDEO)), **marks)
        if len(server.requests) == 1:
            exchange.wfile.write(VIDEO)

    with serving(answer) as server:
        with make_fetcher(server.url).fetch(PATH) as first:
            pass
        with make_fetcher(server.url).fetch(PATH) as second:
            assert second.read_bytes() == VIDEO
    assert first == second


def test_notices_that_a_video_was_replaced(make_fetcher: MakeFetcher) -> None:
    versions = [(b"old video", '"one"'), (b"new video", '"two"')]

    def answer(exchange: Exchange) -> None:
        body, etag = versions[len(server.requests) - 1]
        exchange.answer(200, body, etag=etag)

    with serving(answer) as server:
        fetcher = make_fetcher(server.url)
        with fetcher.fetch(PATH) as old, fetcher.fetch(PATH) as new:
            assert (old.read_bytes(), new.read_bytes()) == (b"old video", b"new video")


def test_takes_a_video_anew_when_the_server_tells_nothing_about_it(make_fetcher: MakeFetcher) -> None:
    bodies = [b"old video", b"new"]

    def answer(exchange: Exchange) -> None:
        exchange.begin(200, connection="close")
        exchange.wfile.write(bodies[len(server.requests) - 1])
        exchange.close_connection = True

    with serving(answer) as server:
        fetcher = make_fetcher(server.url)
        with fetcher.fetch(PATH) as old, fetcher.fetch(PATH) as new:
            assert (old.read_bytes(), new.read_bytes()) == (b"old video", b"new")


def test_a_kept_file_that_lost_its_end_is_fetched_again(make_fetcher: MakeFetcher) -> None:
    with serving(sending(etag='"one"')) as server:
        with make_fetcher(server.url).fetch(PATH) as path:
            path.write_bytes(VIDEO[:10])
        with make_fetcher(server.url).fetch(PATH) as path:
            assert path.read_bytes() == VIDEO


def test_evicts_the_least_recently_used_beyond_the_limit(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    with serving(sending()) as server:
        fetcher = make_fetcher(server.url, cache_bytes=2 * len(VIDEO))
        paths = {}
        for name in ("a", "b", "a", "c"):
            with fetcher.fetch(f"/data/upload/1/{name}.mp4") as paths[name]:
                pass
    assert kept(tmp_path) == sorted([paths["a"], paths["c"]])


def test_evicts_nothing_that_is_in_use(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    with serving(sending()) as server:
        fetcher = make_fetcher(server.url, cache_bytes=0)
        with fetcher.fetch("/data/upload/1/a.mp4") as one, fetcher.fetch("/data/upload/1/b.mp4") as two:
            with make_fetcher(server.url, cache_bytes=0).fetch("/data/upload/1/c.mp4"):
                pass
            assert one.read_bytes() == two.read_bytes() == VIDEO
            assert kept(tmp_path) == sorted([one, two])
    assert kept(tmp_path) == []


def test_evicts_also_after_a_failure(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    with serving(sending()) as server, pytest.raises(RuntimeError), make_fetcher(server.url, cache_bytes=0).fetch(PATH):
        raise RuntimeError("decoding failed")
    assert kept(tmp_path) == []


def test_evicts_interrupted_downloads_too(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.path == PATH:
            exchange.begin(200, content_length="100000", etag='"one"')
            exchange.wfile.write(VIDEO)
            exchange.close_connection = True
        else:
            exchange.answer(200, VIDEO)

    with serving(answer) as server:
        fetcher = make_fetcher(server.url, cache_bytes=2 * len(VIDEO) - 1)
        with pytest.raises(MediaUnavailableError), fetcher.fetch(PATH):
            pass
        assert [path.suffix for path in kept(tmp_path)] == [".part"]
        with fetcher.fetch("/data/upload/1/b.mp4") as path:
            assert kept(tmp_path) == [path]


def test_threads_that_want_the_same_video_fetch_it_once(make_fetcher: MakeFetcher) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.begin(200, content_length=str(len(VIDEO)), etag='"one"')
        if len(server.requests) == 1:
            exchange.wfile.write(VIDEO)

    results: list[bytes] = []

    def work() -> None:
        with make_fetcher(server.url).fetch(PATH) as path:
            results.append(path.read_bytes())

    with serving(answer) as server:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [VIDEO] * 6


PROCESS = """
import sys
from pathlib import Path
from backend.label_studio.media import MediaFetcher
url, cache, times = sys.argv[1:]
fetcher = MediaFetcher(
    label_studio_url=url,
    authorization=lambda _: {},
    cache_dir=Path(cache),
    max_bytes=6000,
    timeout_s=60,
    cache_bytes=6000,
)
for round in range(int(times)):
    for name in "abc":
        with fetcher.fetch(f"/data/upload/1/{name}.mp4") as path:
            body = path.read_bytes()
            assert body == name.encode() * 5000, (name, len(body), body[:1])
"""


def test_processes_share_a_cache_that_is_too_small_for_them(tmp_path: Path) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.answer(200, Path(exchange.path).stem.encode() * 5000, etag='"one"')

    with serving(answer) as server:
        command = [sys.executable, "-c", PROCESS, server.url, str(tmp_path / "cache"), "15"]
        processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        errors = [process.communicate(timeout=120)[1] for process in processes]
    assert errors == [""] * 3
    assert sum(path.stat().st_size for path in kept(tmp_path)) <= 6000
    assert list((tmp_path / "cache").glob("*/*.lock")) == []


def test_waits_for_another_process_only_until_the_deadline(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10)
    with (
        cache.slot("video", Deadline(60)),
        pytest.raises(MediaUnavailableError, match="Another process"),
        Cache(tmp_path, 10).slot("video", Deadline(0.1)),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, make_fetcher: MakeFetcher) -> None:
    (tmp_path / "file").write_text("")
    with serving(sending()) as server:
        fetcher = make_fetcher(server.url, cache_dir=tmp_path / "file")
        with pytest.raises(MediaError, match="MEDIA_CACHE_DIR"), fetcher.fetch(PATH):
            pass


def test_a_full_disk_may_have_room_later(tmp_path: Path) -> None:
    with pytest.raises(MediaUnavailableError, match="is full"), Cache(tmp_path, 10).slot("video", Deadline(60)):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("public", ["", "http://localhost:8080/"])
def test_a_task_may_name_its_video_as_browsers_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, public: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(sending()) as server:
        settings = Settings(
            label_studio_url=server.url,
            label_studio_public_url=public,
            label_studio_api_key=SecretStr("legacy-token"),
        )
        client = connect_label_studio(settings)
        address = public.rstrip("/") or server.url
        with open_fetcher(settings, client).fetch(f"{address}/data/local-files/?d=clips/été 1.mp4") as path:
            assert path.read_bytes() == VIDEO
        client.close()
    [asked] = server.requests
    assert asked.path == "/data/local-files/?d=clips/%C3%A9t%C3%A9%201.mp4"
    assert asked.headers["authorization"] == "Token legacy-token"


def test_files_below_the_roots_are_used_in_place(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    video = tmp_path / "videos" / "a.mp4"
    video.parent.mkdir()
    video.write_bytes(VIDEO)
    fetcher = make_fetcher("http://label-studio:8080", roots=[video.parent])
    with fetcher.fetch(str(video)) as path:
        assert path == video
    assert not (tmp_path / "cache").exists()


def test_files_below_the_roots_have_the_same_limit(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(VIDEO)
    fetcher = make_fetcher("http://label-studio:8080", roots=[tmp_path], max_bytes=len(VIDEO) - 1)
    with pytest.raises(MediaError, match="MEDIA_MAX_BYTES"), fetcher.fetch(f"file://{tmp_path}/a.mp4"):
        pass


def test_a_token_that_is_not_accepted_is_label_studios_error(tmp_path: Path) -> None:
    def refuse(url: str) -> Mapping[str, str]:
        raise LabelStudioError("Check LABEL_STUDIO_API_KEY.")

    with serving(sending()) as server:
        fetcher = MediaFetcher(
            label_studio_url=server.url,
            authorization=refuse,
            cache_dir=tmp_path,
            max_bytes=len(VIDEO),
            timeout_s=20,
            cache_bytes=len(VIDEO),
        )
        with pytest.raises(LabelStudioError, match="API_KEY"), fetcher.fetch(PATH):
            pass
    assert server.requests == []


@pytest.mark.parametrize("url", ["label-studio:8080", "ftp://label-studio", "http://user:key@label-studio", ""])
def test_an_unusable_address_of_label_studio_is_named(make_fetcher: MakeFetcher, url: str) -> None:
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL"):
        make_fetcher(url)
