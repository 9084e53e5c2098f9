"""What a task's video reference means: a file in a configured folder, or an address to fetch."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from backend.errors import MediaError
from backend.label_studio.media.hosts import parse_url, shown

CLOUD_SCHEMES = frozenset({"s3", "gs", "azure-blob"})
LABEL_STUDIO_PATH = re.compile(r"/(data/local-files/|data/upload/|storage-data/|(tasks|projects)/\d+/resolve/)")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file below a configured folder, links resolved."""

    path: Path


@dataclass(frozen=True, slots=True)
class Remote:
    """An address to fetch. `name` is the reference as it may be shown; `key` tells apart what is kept in the cache."""

    url: httpx.URL
    key: str
    name: str


def locate(
    reference: str, task: int | None, label_studio_url: str, roots: Sequence[Path], public_url: str = ""
) -> LocalFile | Remote:
    """Where the video of a reference is.

    `public_url` is what browsers call Label Studio, where that differs: tasks that it made itself name their files so.

    Raises:
        MediaError: the reference is of no known kind or malformed, or points outside the configured folders.
    """
    try:
        return _located(_own_path(reference.strip(), public_url), task, label_studio_url, roots)
    except ValueError:  # what the standard library says of brackets, and of letters that no host may have
        raise MediaError(
            f"{_shown_malformed(reference)} is not a well-formed address: check its host, brackets and letters, "
            "and correct the task's data."
        ) from None


def _located(reference: str, task: int | None, label_studio_url: str, roots: Sequence[Path]) -> LocalFile | Remote:
    scheme = urlsplit(reference).scheme.lower() if "://" in reference else ""
    if scheme in {"http", "https"}:
        return Remote(parse_url(reference), reference, shown(reference))
    if scheme in CLOUD_SCHEMES:
        return _cloud(reference, task, label_studio_url)
    if scheme == "file":
        return LocalFile(_below_roots(_file_path(reference), roots, reference))
    if reference.startswith("/") and not scheme:
        path = reference.removeprefix(urlsplit(label_studio_url).path)
        if is_media_path(path):
            return Remote(parse_url(f"{label_studio_url}{path}"), f"{label_studio_url}{path}", shown(path))
        return LocalFile(_below_roots(Path(reference), roots, reference))
    raise MediaError(
        f"{shown(reference)!r} is not a video reference that can be fetched: use a Label Studio path like "
        "/data/local-files/?d=..., http(s)://, s3://, gs://, azure-blob://, or file:// below MEDIA_ROOTS."
    )


def _shown_malformed(reference: str) -> str:
    """Without its query; where it holds an @, nobody can say what of it is a password."""
    return "The address" if "@" in reference else repr(reference.partition("?")[0].partition("#")[0])


def is_media_path(path: str) -> bool:
    """Whether a path below Label Studio's own address is one where it hands out media, and none of its API."""
    plain = unquote(unquote(unquote(path.partition("?")[0].partition("#")[0])))
    return bool(LABEL_STUDIO_PATH.match(path)) and ".." not in plain.split("/")


def _own_path(reference: str, public_url: str) -> str:
    """The path of a media address below Label Studio's public one; any other reference as it is."""
    path = reference.removeprefix(public_url)
    return path if path != reference and is_media_path(path) else reference


def _cloud(reference: str, task: int | None, label_studio_url: str) -> Remote:
    """Label Studio holds the storage's credentials, and hands its files out by task."""
    if task is None:
        raise MediaError(
            f"{shown(reference)} is in a cloud storage of Label Studio: it can be fetched for a task only."
        )
    encoded = base64.urlsafe_b64encode(reference.encode()).decode()
    url = parse_url(f"{label_studio_url}/tasks/{task}/resolve/?fileuri={encoded}")
    return Remote(url, f"{label_studio_url} {reference}", shown(reference))


def _file_path(reference: str) -> Path:
    parts = urlsplit(reference)
    if parts.netloc not in {"", "localhost"}:
        raise MediaError(f"{shown(reference)} names a file on another machine; use file:///path.")
    return Path(unquote(parts.path))


def _below_roots(path: Path, roots: Sequence[Path], reference: str) -> Path:
    """The real path, if it is a file below one of the roots."""
    name = shown(reference)
    try:
        real = path.resolve(strict=True)
        allowed = any(real.is_relative_to(root.resolve()) for root in roots)
        readable = real.is_file()
    except (OSError, ValueError, RuntimeError):
        real, allowed, readable = path, _inside(path, roots), False
    if not allowed:
        configured = ", ".join(str(root) for root in roots) or "none"
        raise MediaError(f"{name} is not below a folder of MEDIA_ROOTS ({configured}); links are followed first.")
    if not readable:
        raise MediaError(f"{name} does not exist or is not a file.")
    return real


def _inside(path: Path, roots: Sequence[Path]) -> bool:
    """The same for a path that cannot be resolved, so that its message tells nothing about files elsewhere."""
    return ".." not in path.parts and any(path.is_relative_to(root) for root in roots)
