"""Pairs from a file into a project: every row is checked first, nothing is imported twice, nothing is held whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from backend.errors import TaskDataError
from backend.label_studio.convert import parse_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from backend.label_studio.client import LabelStudioClient
    from backend.label_studio.layout import Layout

BATCH = 1000  # tasks per request
LOCAL_FILES = "/data/local-files/"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot become a task, and why."""

    row: int
    problem: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file holds: how many rows can be imported, which cannot, and how many videos could not be looked at."""

    good: int
    bad: tuple[BadRow, ...]
    unseen: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where files may be looked for: `files_root` is Label Studio's local-files document root, as seen from here."""

    files_root: Path | None = None

    def reference(self, text: str) -> str:
        """A relative path under the document root as Label Studio's own address; anything else as it is."""
        if self.files_root is None or "://" in text or text.startswith("/"):
            return text
        return f"{LOCAL_FILES}?d={quote(str(PurePosixPath(text)), errors='replace')}"

    def problem(self, reference: str) -> str | None:
        """Why there is no such file, "" where it is there, None where nobody here can know."""
        try:
            parts = urlsplit(reference)
        except ValueError:
            return f"{reference} is not a well-formed address; correct its host, brackets and letters"
        if parts.scheme == "file":
            return _absent(Path(unquote(parts.path)))
        if parts.scheme or parts.netloc:
            return None
        if (wanted := below_document_root(reference)) is not None:
            return None if self.files_root is None else _absent(self.files_root / wanted)
        if parts.path.startswith("/data/"):
            return None  # uploaded to Label Studio
        if not reference.startswith("/"):
            return f"{reference} is a relative path; name Label Studio's document root with --files-root"
        return _absent(Path(reference))


def below_document_root(reference: str) -> str | None:
    """The path that an address of Label Studio's local files names; None for any other reference."""
    try:
        parts = urlsplit(reference)
    except ValueError:
        return None
    return parse_qs(parts.query).get("d", [""])[0].lstrip("/") if parts.path == LOCAL_FILES else None


def _absent(path: Path) -> str:
    try:
        return "" if path.is_file() else f"there is no file {path}"
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}"


class PairImport:
    """Checks rows, and imports those that are good and not in the project yet."""

    def __init__(self, layout: Layout, places: Places) -> None:
        self._layout = layout
        self._places = places

    def check(self, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Checked:
        """Look at every row: missing video or prompt, missing file, a pair that an earlier row has already."""
        seen: dict[bytes, int] = {}
        bad: list[BadRow] = []
        good = unseen = 0
        for number, row in rows:
            data = self._data(row)
            problem, unknown = self._problem(number, data)
            earlier = None if problem else seen.setdefault(self._identity(data), number)
            if earlier not in (None, number):
                problem = f"the same pair with the same prompt is in row {earlier}"
            if problem:
                bad.append(BadRow(number, problem))
            else:
                good, unseen = good + 1, unseen + unknown
        return Checked(good, tuple(bad), unseen)

    def new(
        self, rows: Iterable[tuple[int, Mapping[str, Any]]], refused: Iterable[int], present: set[bytes]
    ) -> Iterator[dict[str, Any]]:
        """The data of the rows that are neither refused nor present."""
        bad = set(refused)
        for number, row in rows:
            data = self._data(row)
            if number not in bad and self._identity(data) not in present:
                yield data

    def present(self, client: LabelStudioClient, project: int) -> set[bytes]:
        """The pairs that the project has; a digest of each, so that a hundred thousand take little memory."""
        return {self._identity(task.data) for task in client.tasks(project)}

    def _data(self, row: Mapping[str, Any]) -> dict[str, Any]:
        keys = {self._layout.videos[1].key, self._layout.videos[2].key}
        return {
            key: self._places.reference(value.strip()) if key in keys and isinstance(value, str) else value
            for key, value in row.items()
        }

    def _problem(self, number: int, data: Mapping[str, Any]) -> tuple[str, int]:
        """What is wrong, if anything, and how many of the two videos could not be looked at."""
        if "" in data:
            return str(data[""]), 0
        try:
            pair = parse_task(self._layout, 0, {"id": number, "data": dict(data)})
            json.dumps(data)
        except TaskDataError as error:
            return str(error).removeprefix(f"Task {number} ").removeprefix(f"Task {number}: "), 0
        except (TypeError, ValueError) as error:
            return f"a value is nothing that JSON can say: {error}", 0
        found = [self._places.problem(video) for video in (pair.video1, pair.video2)]
        return "; ".join(problem for problem in found if problem), found.count(None)

    def _identity(self, data: Mapping[str, Any]) -> bytes:
        layout = self._layout
        same = [data.get(key) for key in (layout.videos[1].key, layout.videos[2].key, layout.prompt_key)]
        return hashlib.blake2b(json.dumps(same, default=str).encode(), digest_size=16).digest()


def import_tasks(client: LabelStudioClient, project: int, tasks: Iterator[Mapping[str, Any]]) -> Iterator[int]:
    """Import in batches; the size of each, once Label Studio has it.

    Raises:
        LabelStudioError: Label Studio refused a batch, or cannot be reached; what went before is there.
    """
    while batch := [{"data": data} for data in islice(tasks, BATCH)]:
        client.administration.import_tasks(project, batch)
        yield len(batch)
