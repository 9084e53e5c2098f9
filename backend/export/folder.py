"""A dataset's files while they are written, each with its checksum; the folder is there whole or not at all."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from backend.errors import ExportError
from backend.replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = "manifest.json"
KIND = "vrthinker-dataset"
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
    with replacing(target, check_replaceable) as folder, Draft(folder) as draft:
        yield draft
        draft.close()


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
