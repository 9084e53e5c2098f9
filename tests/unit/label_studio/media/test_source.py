"""What a video reference means."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.errors import MediaError
from backend.label_studio.media.source import LocalFile, Remote, is_media_path, locate

if TYPE_CHECKING:
    from pathlib import Path

LABEL_STUDIO = "http://label-studio:8080"


def remote(reference: str, task: int | None = 7, url: str = LABEL_STUDIO, roots: tuple[Path, ...] = ()) -> Remote:
    source = locate(reference, task, url, roots)
    assert isinstance(source, Remote)
    return source


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/data/local-files/?d=videos/a.mp4", f"{LABEL_STUDIO}/data/local-files/?d=videos/a.mp4"),
        (" /data/local-files/?d=videos/a.mp4\n", f"{LABEL_STUDIO}/data/local-files/?d=videos/a.mp4"),
        ("/data/upload/3/x.mp4", f"{LABEL_STUDIO}/data/upload/3/x.mp4"),
        ("/tasks/7/resolve/?fileuri=czM6Ly9i", f"{LABEL_STUDIO}/tasks/7/resolve/?fileuri=czM6Ly9i"),
        ("/data/local-files/?d=clips/my clip.mp4", f"{LABEL_STUDIO}/data/local-files/?d=clips/my%20clip.mp4"),
        ("/data/upload/7/ab-café.mp4", f"{LABEL_STUDIO}/data/upload/7/ab-caf%C3%A9.mp4"),
        ("http://videos.example.com/a.mp4", "http://videos.example.com/a.mp4"),
        ("HTTPS://videos.example.com/a.mp4?sig=b", "https://videos.example.com/a.mp4?sig=b"),
    ],
)
def test_finds_the_address_of_a_reference(reference: str, expected: str) -> None:
    assert str(remote(reference).url) == expected


@pytest.mark.parametrize("reference", ["/data/upload/3/x.mp4", "/label-studio/data/upload/3/x.mp4"])
def test_label_studio_may_live_below_a_path(reference: str) -> None:
    found = remote(reference, url="https://example.com/label-studio")
    assert str(found.url) == "https://example.com/label-studio/data/upload/3/x.mp4"


@pytest.mark.parametrize("public", ["http://localhost:8080", "https://example.com/label-studio"])
@pytest.mark.parametrize("path", ["/data/local-files/?d=videos/a b.mp4", "/data/upload/3/x.mp4"])
def test_label_studio_is_known_by_its_public_address_too(public: str, path: str) -> None:
    found = locate(f"{public}{path}", None, LABEL_STUDIO, (), public)
    assert found == locate(path, None, LABEL_STUDIO, ())


@pytest.mark.parametrize(
    "reference",
    [
        "http://localhost/api/users/",
        "http://localhost/data/upload/../../api/current-user/token",
        "http://localhost:8081/data/upload/3/x.mp4",
        "http://localhost.evil.com/data/upload/3/x.mp4",
    ],
)
def test_only_media_below_the_public_address_is_label_studios_own(reference: str) -> None:
    found = locate(reference, None, LABEL_STUDIO, (), "http://localhost")
    assert isinstance(found, Remote)
    assert found.url.host != "label-studio"


@pytest.mark.parametrize("uri", ["s3://bucket/a b.mp4", "gs://bucket/a.mp4", "azure-blob://c/ü.mp4"])
def test_asks_label_studio_to_resolve_cloud_files_for_their_task(uri: str) -> None:
    found = remote(uri, task=12)
    assert (found.url.host, found.url.port, found.url.path) == ("label-studio", 8080, "/tasks/12/resolve/")
    encoded = parse_qs(urlsplit(str(found.url)).query)["fileuri"][0]
    assert base64.urlsafe_b64decode(encoded).decode() == uri


def test_a_cloud_file_is_the_same_video_for_every_task() -> None:
    assert remote("s3://bucket/a.mp4", task=1).key == remote("s3://bucket/a.mp4", task=2).key
    assert remote("s3://bucket/a.mp4").key != remote("s3://bucket/b.mp4").key


def test_a_cloud_file_needs_a_task() -> None:
    with pytest.raises(MediaError, match="for a task"):
        locate("s3://bucket/a.mp4", None, LABEL_STUDIO, ())


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "a.mp4",
        "videos/a.mp4",
        "../a.mp4",
        "//evil.com/a.mp4",
        "\\\\evil.com\\a.mp4",
        "/\\evil.com/a.mp4",
        "ftp://example.com/a.mp4",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "redis://127.0.0.1/0",
        "file://other-machine/a.mp4",
        "file:a.mp4",
        "/api/users/",
        "/api/projects/1/../../data/upload/1/x.mp4",
        "/data/upload/../../api/current-user/token",
        "/data/upload/%2e%2e/%2e%2e/api/current-user/token",
        "/data/upload/%252e%252e/%252e%252e/api/current-user/token",
        "/etc/passwd",
        "/videos/a\x00.mp4",
    ],
)
def test_refuses_what_is_no_reference_to_a_video(reference: str) -> None:
    with pytest.raises(MediaError) as caught:
        locate(reference, 7, LABEL_STUDIO, ())
    assert not caught.value.retryable


MALFORMED = (
    "http://[x/a.mp4",
    "https://host]/",
    "file://[x/",
    "s3://[b]/",
    "https://ex\u2100mple.com/",
    "s3://b/\ud800",
)


@pytest.mark.parametrize("reference", MALFORMED)
def test_a_malformed_address_is_the_datas_fault_and_is_named(reference: str) -> None:
    with pytest.raises(MediaError, match="correct the task's data") as caught:
        locate(f"{reference}?signature=secret", 7, LABEL_STUDIO, ())
    assert not caught.value.retryable
    assert repr(reference) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_in_a_malformed_address_is_not_told() -> None:
    with pytest.raises(MediaError) as caught:
        locate("http://me:pass@[x/a.mp4", 7, LABEL_STUDIO, ())
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize("written", ["{path}", "file://{path}", "file://localhost{path}"])
def test_finds_files_below_a_configured_folder(tmp_path: Path, written: str) -> None:
    video = tmp_path / "a b.mp4"
    video.write_bytes(b"video")
    reference = written.format(path=str(video) if written == "{path}" else str(video).replace(" ", "%20"))
    assert locate(reference, None, LABEL_STUDIO, (tmp_path,)) == LocalFile(video)


def test_follows_links_that_stay_below_the_folders(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    assert locate(f"{tmp_path}/link.mp4", None, LABEL_STUDIO, (tmp_path,)) == LocalFile(tmp_path / "a.mp4")


def test_a_configured_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").write_bytes(b"video")
    (tmp_path / "root").symlink_to("real")
    found = locate(f"{tmp_path}/root/a.mp4", None, LABEL_STUDIO, (tmp_path / "root",))
    assert found == LocalFile(tmp_path / "real" / "a.mp4")


def test_refuses_ways_out_of_the_folders(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.mp4"
    root.mkdir()
    secret.write_bytes(b"secret")
    (root / "link.mp4").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path)
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside" / "a.mp4").write_bytes(b"secret")
    ways = ["link.mp4", "../secret.mp4", "folder/secret.mp4", "../root-beside/a.mp4", "%2e%2e/secret.mp4"]
    for way in ways:
        for prefix in ("", "file://"):
            with pytest.raises(MediaError):
                locate(f"{prefix}{root}/{way}", None, LABEL_STUDIO, (root,))


def test_messages_do_not_tell_which_files_exist_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "there.mp4").write_bytes(b"secret")
    texts = set()
    for name in ("there", "gone!"):
        with pytest.raises(MediaError) as caught:
            locate(f"{tmp_path}/{name}.mp4", None, LABEL_STUDIO, (root,))
        texts.add(str(caught.value).replace(name, ""))
    assert len(texts) == 1


@pytest.mark.parametrize("name", ["missing.mp4", "folder", "loop.mp4"])
def test_says_what_is_missing_below_the_folders(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    with pytest.raises(MediaError, match="does not exist or is not a file"):
        locate(f"{tmp_path}/{name}", None, LABEL_STUDIO, (tmp_path,))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/local-files/?d=a/../b.mp4", True),
        ("/data/upload/1/a.mp4", True),
        ("/storage-data/uploaded/?filepath=a", True),
        ("/tasks/1/resolve/?fileuri=a", True),
        ("/projects/1/resolve/?fileuri=a", True),
        ("/data/upload/../../api/projects/", False),
        ("/data/upload/x%3f/%2e%2e/%2e%2e/api/projects/", False),
        ("/data/upload/%25252e%25252e/%25252e%25252e/api/projects/", False),
        ("/data/uploads/a.mp4", False),
        ("/api/data/upload/a.mp4", False),
        ("/tasks/x/resolve/", False),
        ("/", False),
    ],
)
def test_tells_media_from_the_rest_of_label_studio(path: str, expected: bool) -> None:
    assert is_media_path(path) is expected
