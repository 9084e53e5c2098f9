"""The finished records as Parquet, with the column types of `datasets`, a thousand rows at a time."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from backend.errors import ExportError
from backend.export.columns import COLUMNS, TIMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.export.columns import Type
    from backend.export.folder import Draft

BATCH = 1000  # rows held in memory; `datasets` would first write, and map into memory, a copy of everything


def write_parquet(draft: Draft) -> None:
    """Write `parquet/<split>.parquet` for each split that has records.

    Raises:
        ExportError: `datasets` is not installed, or cannot take the records.
        OSError: the disk is full.
    """
    try:
        import datasets
        from pyarrow import ArrowInvalid
    except ImportError:
        raise ExportError(
            "The format parquet needs the package datasets: pip install 'vrthinker[export]', or name other formats."
        ) from None
    (draft.folder / "parquet").mkdir()
    try:
        with (draft.folder / "records.jsonl").open(encoding="utf-8") as lines:
            counts = _write(draft, _features(datasets).arrow_schema, lines)
    except ArrowInvalid as error:
        raise ExportError(f"The records cannot be written as Parquet: {error}. Name other formats.") from error
    for name, count in counts.items():
        draft.note(name, count)


def _write(draft: Draft, schema: Any, lines: Iterable[str]) -> dict[str, int]:  # noqa: ANN401  # the library is untyped
    """Split the rows up; how many each file has."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    writers: dict[str, Any] = {}
    counts: dict[str, int] = {}
    rest = iter(lines)
    with ExitStack() as opened:
        while batch := [_row(line) for line in islice(rest, BATCH)]:
            for split in ("train", "validation"):
                if rows := [row for row in batch if row["split"] == split]:
                    name = f"parquet/{split}.parquet"
                    if name not in writers:
                        writers[name] = opened.enter_context(ParquetWriter(str(draft.folder / name), schema))
                    writers[name].write_table(pyarrow.Table.from_pylist(rows, schema=schema))
                    counts[name] = counts.get(name, 0) + len(rows)
    return counts


def _row(line: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    return row | {name: datetime.fromisoformat(row[name]) for name in TIMES}


def _features(datasets: Any) -> Any:  # noqa: ANN401  # the library is untyped
    """The columns' types in the library's own words; times are times here."""
    times = dict.fromkeys(TIMES, "timestamp[us, tz=UTC]")

    def typed(kind: Type) -> Any:  # noqa: ANN401  # the library is untyped
        if isinstance(kind, str):
            return datasets.Value(kind)
        if isinstance(kind, dict):
            return {name: typed(inner) for name, inner in kind.items()}
        return datasets.List(typed(kind[0]))

    return datasets.Features(typed(COLUMNS | times))
