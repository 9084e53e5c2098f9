"""Fetched videos on disk, shared by processes: bounded, never replaced in place, never evicted while in use.

A video is `<key>-<version>.media`, one being fetched `<key>-<version>.part`; whoever fetches a key holds `<key>.lock`.
Locks are flocks, which the system releases when a process dies.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backend.errors import MediaError, MediaUnavailableError
from backend.label_studio.media.network import Deadline

POLL_S = 0.05
KEY_CHARACTERS = 32
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Slot:
    """A key's place in the cache, held by this process alone."""

    folder: Path
    key: str

    def kept(self, version: str, size: int | None) -> Path | None:
        """The video in that version, if it is here and whole."""
        path = self.path(version, "media")
        with suppress(FileNotFoundError):
            return path if size in {None, path.stat().st_size} else None
        return None

    def begun(self) -> tuple[str, int] | None:
        """Version and size of what was fetched of it before an interruption."""
        for path in self.folder.glob(f"{self.key}-*.part"):
            return path.stem.removeprefix(f"{self.key}-"), path.stat().st_size
        return None

    def forget_begun(self) -> None:
        """Drop what was fetched before an interruption."""
        for path in self.folder.glob(f"{self.key}-*.part"):
            path.unlink(missing_ok=True)

    def path(self, version: str, kind: str) -> Path:
        """Where a version of the video is or will be."""
        return self.folder / f"{self.key}-{version}.{kind}"

    @contextmanager
    def appending(self, version: str, start: int) -> Iterator[BinaryIO | None]:
        """The part of that version, opened to go on at byte `start`; None if it was evicted and holds less."""
        path = self.path(version, "part")
        with path.open("ab") as part:
            fcntl.flock(part, fcntl.LOCK_EX)
            if start == 0:
                part.truncate(0)
            yield part if _is_same(part.fileno(), path) and part.tell() == start else None

    def keep(self, part: BinaryIO, version: str) -> Path:
        """Turn the whole part into the video, durably."""
        part.flush()
        os.fsync(part.fileno())
        return self.path(version, "part").replace(self.path(version, "media"))


class Cache:
    """At most `limit` bytes of videos in `folder`, apart from those in use."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    @contextmanager
    def slot(self, name: str, deadline: Deadline) -> Iterator[Slot]:
        """The place of a video; other processes that want the same one wait for it.

        Raises:
            MediaUnavailableError: another process still held it at the deadline, or the disk is full.
            MediaError: the folder cannot be used.
        """
        key = hashlib.sha256(name.encode()).hexdigest()[:KEY_CHARACTERS]
        folder = self._folder / key[:2]
        with self._usable():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = folder / f"{key}.lock"
            held = _exclusive(lock, deadline)
            try:
                yield Slot(folder, key)
            finally:
                lock.unlink(missing_ok=True)
                os.close(held)

    @contextmanager
    def use(self, path: Path) -> Iterator[Path | None]:
        """The video, kept from eviction meanwhile; None if it was evicted just before."""
        held = _shared(path)
        try:
            if held is not None:
                os.utime(path)
            yield path if held is not None else None
        finally:
            if held is not None:
                os.close(held)

    def make_room(self, wanted: int = 0) -> None:
        """Evict the least recently used videos until `wanted` more bytes fit, leaving those in use."""
        files = []
        for path in [*self._folder.glob("*/*.media"), *self._folder.glob("*/*.part")]:
            with suppress(FileNotFoundError):
                state = path.stat()
                files.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in files) + wanted
        for _, size, path in sorted(files):
            if total <= self._limit:
                return
            if _evicted(path):
                total -= size

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise MediaUnavailableError(
                    f"The disk of MEDIA_CACHE_DIR ({self._folder}) is full; make room or lower MEDIA_CACHE_BYTES."
                ) from None
            raise MediaError(
                f"MEDIA_CACHE_DIR ({self._folder}) cannot be used: {error.strerror}. Check that it is writable."
            ) from None


def _exclusive(path: Path, deadline: Deadline) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if _locked(descriptor, fcntl.LOCK_EX) and _is_same(descriptor, path):
            return descriptor
        os.close(descriptor)
        if not deadline.left():
            raise MediaUnavailableError("Another process is still fetching the same video.")
        time.sleep(POLL_S)


def _shared(path: Path) -> int | None:
    """A descriptor that keeps the file from eviction, or None when it has just been evicted."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if _is_same(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _evicted(path: Path) -> bool:
    """Remove a file nobody uses."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        if not _locked(descriptor, fcntl.LOCK_EX):
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether the path still names the open file: it may have been removed while its lock was waited for."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
