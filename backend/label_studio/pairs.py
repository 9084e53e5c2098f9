"""A file of pairs -> rows, streamed: CSV with a header, JSON Lines, or Parquet."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from backend.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PARQUET_ROWS = 1000  # held at a time


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows with their numbers, as an editor counts lines (a Parquet file's first row is 1), each a task's data.

    Values are as the file has them; empty cells of a CSV are left out. A row that cannot be read comes as an empty one
    with the key `""`, whose value says why.

    Raises:
        SettingsError: the file cannot be read, or is of none of the three kinds.
    """
    kinds = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet}
    read: Callable[[Path], Iterator[tuple[int, Mapping[str, Any]]]] | None = kinds.get(path.suffix.lower())
    if read is None:
        raise SettingsError(f"--import: {path} is none of {', '.join(kinds)}. Name it by what it is.")
    try:
        yield from read(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"--import: {path} cannot be read: {error}. Give it as UTF-8.") from None


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not rows.fieldnames:
            raise SettingsError(f"--import: {path} has no header. Its first line must name the columns.")
        for row in rows:
            if None in row:
                yield rows.line_num, {"": f"it has more cells than the header has names: {row[None]!r:.80}"}
            else:
                yield rows.line_num, {name: value for name, value in row.items() if value}


def _jsonl(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield number, {"": f"it is not JSON: {error}"}
                continue
            if not isinstance(row, dict):
                yield number, {"": f"it is not a JSON object but {type(row).__name__}"}
                continue
            inner = row.get("data")
            yield number, inner if isinstance(inner, dict) else row  # `{"data": {...}}` is Label Studio's own form


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise SettingsError(
            f"--import: {path} needs pyarrow, which is not here. Install vrthinker[export], or give CSV or JSONL."
        ) from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name: value for name, value in row.items() if value is not None}
    except ArrowInvalid as error:
        raise SettingsError(f"--import: {path} is no Parquet file: {error}.") from None
