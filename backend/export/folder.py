"""A dataset folder that is there whole or not at all: written beside its place, checked off, moved in at the end.

`NAME` is written as `.NAME.partial`. What a crash leaves of that is cleared by the next export; a dataset that is being
replaced stands aside as `.NAME.replaced` for the moment of the move, and is put back if that was interrupted.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from backend.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = "manifest.json"
KIND = "vrthinker-dataset"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file of a dataset; `rows` is None where it has none."""

    bytes: int
    sha256: str
    rows: int | None = None


class Sheet:
    """A file being written row by row, its checksum kept on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.rows = 0

    def write(self, content: bytes, *, rows: int = 0) -> None:
        """Append."""
        self._file.write(content)
        self._digest.update(content)
        self._bytes += len(content)
        self.rows += rows

    def close(self) -> Written:
        """Finish; nothing can be written afterwards."""
        self._file.close()
        return Written(self._bytes, self._digest.hexdigest(), self.rows)

    def abandon(self) -> None:
        """Close the file, whatever state it is in."""
        with suppress(OSError):
            self._file.close()


class Draft:
    """The folder while it is written. Names are relative, with `/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Written] = {}
        self._open: dict[str, Sheet] = {}

    def sheet(self, name: str) -> Sheet:
        """The file of that name, begun at its first use."""
        if name not in self._open:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[name] = Sheet(path.open("xb", buffering=BUFFER))
        return self._open[name]

    def begun(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return name in self._open or name in self.files

    def put(self, name: str, content: bytes) -> None:
        """Write a whole file."""
        self.sheet(name).write(content)
        self.files[name] = self._open.pop(name).close()
        self.files[name] = Written(len(content), self.files[name].sha256)

    def note(self, name: str, rows: int | None = None) -> None:
        """Take up a file that something else has written."""
        path = self.folder / name
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.files[name] = Written(path.stat().st_size, digest, rows)

    def close(self) -> None:
        """Finish every file that is still open."""
        while self._open:
            name, sheet = next(iter(self._open.items()))
            self.files[name] = sheet.close()
            del self._open[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for sheet in self._open.values():
            sheet.abandon()


@contextmanager
def drafting(target: Path) -> Iterator[Draft]:
    """A draft that becomes `target` when the block ends well, and vanishes when it does not.

    Raises:
        ExportError: the folder holds something else, another export writes it, the disk is full or cannot be used.
    """
    target = target.absolute()
    partial, replaced = (target.with_name(f".{target.name}.{state}") for state in ("partial", "replaced"))
    with _mapped(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(exist_ok=True)
        held = _locked(partial, target)
        try:
            try:
                if replaced.exists() and not target.exists():
                    replaced.rename(target)
                check_replaceable(target)
                _clear(partial)
                with Draft(partial) as draft:
                    yield draft
                    draft.close()
                _move(partial, target, replaced)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        finally:
            os.close(held)


def check_replaceable(target: Path) -> None:
    """Nothing may be lost: only a folder that is empty, or all from an earlier export, is replaced.

    Raises:
        ExportError: there is something else.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise ExportError(f"{target} is a file. Name a folder for the dataset.")
    present = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
    foreign = sorted(present - _listed(target))
    if foreign:
        raise ExportError(
            f"{target} holds what no export wrote, e.g. {foreign[0]}. Move it away, or name another folder."
        )


def _listed(target: Path) -> set[str]:
    """The files of the dataset in a folder, by its manifest."""
    try:
        manifest = json.loads((target / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return set()
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        return set()
    return {MANIFEST, *manifest.get("files", {})}


def _locked(folder: Path, target: Path) -> int:
    """A descriptor that keeps other exports out; the system gives it up when this process dies."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise ExportError(f"Another export is writing {target}. Wait for it, or name another folder.") from None
    return held


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _move(partial: Path, target: Path, replaced: Path) -> None:
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        target.rename(replaced)
    try:
        partial.rename(target)
    except OSError:
        if replaced.exists():
            replaced.rename(target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def _mapped(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ExportError(
                f"The disk of {target.parent} is full; nothing was written. Make room, or name a folder elsewhere."
            ) from error
        raise ExportError(
            f"{target} cannot be written: {error.strerror or error}. Check the folder and its rights."
        ) from error
