"""The safe download against a real Label Studio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from backend.errors import MediaError
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.media import MediaFetcher
from tests.unit.label_studio.servers import Exchange, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import LabelStudioHandle

pytestmark = pytest.mark.e2e

# Label Studio refuses to upload video files to projects with two of them, and keeps the files all the same.
CONFIG = """<View>
  <Video name="video1" value="$video1"/>
  <Video name="video2" value="$video2"/>
  <Choices name="oa" toName="video1"><Choice value="Video 1"/><Choice value="Video 2"/></Choices>
</View>"""


@pytest.fixture(params=["personal access token", "legacy token"])
def client(label_studio: LabelStudioHandle, request: pytest.FixtureRequest) -> Iterator[LabelStudioClient]:
    personal = request.param == "personal access token"
    key = label_studio.personal_access_token if personal else label_studio.legacy_token
    client = LabelStudioClient(label_studio.url, key)
    yield client
    client.close()


@pytest.fixture
def project(client: LabelStudioClient) -> int:
    return client.administration.create_project({"title": "Videos", "label_config": CONFIG})


def test_fetches_the_videos_of_a_project(
    client: LabelStudioClient, project: int, label_studio: LabelStudioHandle, tmp_path: Path
) -> None:
    folder = label_studio.files_root / "fetched"
    folder.mkdir(exist_ok=True)
    video = bytes(range(256)) * 5000
    (folder / "a b.mp4").write_bytes(video)
    fetcher = MediaFetcher(
        label_studio_url=client.url,
        authorization=client.authorization_for,
        cache_dir=tmp_path / "cache",
        max_bytes=100_000_000,
        timeout_s=60,
        cache_bytes=100_000_000,
    )
    name = f"{project}.mp4"
    (label_studio.files_root / name).write_bytes(video)
    client.administration.create_local_storage(project, str(folder), "videos")
    with fetcher.fetch("/data/local-files/?d=fetched/a%20b.mp4") as first:
        assert first.read_bytes() == video
    with fetcher.fetch(f"{client.url}/data/local-files/?d=fetched/a%20b.mp4") as again:
        assert again == first

    files = {"file": ("b.mp4", video, "video/mp4")}
    label_studio.client.post(f"/api/projects/{project}/import", files=files)
    [uploaded] = label_studio.client.get(f"/api/projects/{project}/file-uploads", params={"all": "true"}).json()
    with fetcher.fetch(f"/data/{uploaded['file']}") as path:
        assert path.read_bytes() == video

    for reference in (f"/data/local-files/?d={name}", "/data/local-files/?d=fetched/missing.mp4", "s3://bucket/a.mp4"):
        with pytest.raises(MediaError, match="404"), fetcher.fetch(reference, 1):
            pass


def test_goes_on_with_a_download_where_label_studio_broke_off(
    client: LabelStudioClient, project: int, label_studio: LabelStudioHandle, tmp_path: Path
) -> None:
    folder = label_studio.files_root / "resumed"
    folder.mkdir(exist_ok=True)
    video = bytes(range(256)) * 20_000
    (folder / "a.mp4").write_bytes(video)
    client.administration.create_local_storage(project, str(folder), "videos")
    broken: list[int] = []

    def break_off(exchange: Exchange) -> None:
        """A proxy between the fetcher and Label Studio that hangs up once."""
        headers = {"Range": exchange.asked.headers["range"], "Authorization": exchange.asked.headers["authorization"]}
        answer = label_studio.client.get(exchange.path, headers=headers)
        kept = {name.replace("-", "_"): answer.headers[name] for name in ("etag", "content-range", "content-length")}
        exchange.begin(answer.status_code, **kept)
        exchange.wfile.write(answer.content if broken else answer.content[:100_000])
        exchange.close_connection = not broken
        broken.append(answer.status_code)

    with serving(break_off) as proxy:
        fetcher = MediaFetcher(
            label_studio_url=proxy.url,
            authorization=lambda url: client.authorization_for(url.replace(proxy.url, client.url)),
            cache_dir=tmp_path,
            max_bytes=100_000_000,
            timeout_s=60,
            cache_bytes=100_000_000,
        )
        with fetcher.fetch("/data/local-files/?d=resumed/a.mp4") as path:
            assert path.read_bytes() == video
    assert [each.headers["range"] for each in proxy.requests] == ["bytes=0-", "bytes=100000-"]
