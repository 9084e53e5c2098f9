"""A report's three files, in a folder that is there whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from backend.errors import ExportError
from backend.replacing import replacing
from backend.report.page import page_of
from backend.report.table import csv_of
from backend.wire import to_json

if TYPE_CHECKING:
    from pathlib import Path

    from backend.report.figures import Report

PAGE, FIGURES, TABLE = FILES = ("report.html", "report.json", "report.csv")


def check(out: Path) -> None:
    """That a report may be written to this place, before any work is done.

    Raises:
        ExportError: something else is there, or nothing can be written there.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ExportError(f"{out} is no folder. Choose another place with --out.")
    foreign = sorted(path.name for path in out.iterdir() if path.name not in FILES) if out.is_dir() else []
    if foreign:
        raise ExportError(
            f"{out} holds what is no report, e.g. {foreign[0]}, and stays as it is. Choose another folder."
        )
    if not out.absolute().parent.is_dir():
        raise ExportError(
            f"There is no folder {out.absolute().parent} to put the report into. Make it, or choose another."
        )


def write(report: Report, out: Path, *, label_studio_url: str = "") -> None:
    """Write the page, the figures and the tables; an older report in this place is replaced in one step.

    Raises:
        ExportError: the disk is full or the place not writable; what was there before is still there.
    """
    check(out)
    files = {
        PAGE: page_of(report, label_studio_url),
        FIGURES: json.dumps(to_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        TABLE: csv_of(report),
    }
    with replacing(out, check) as draft:
        for name, text in files.items():
            (draft / name).write_bytes(text.encode("utf-8", "replace"))
