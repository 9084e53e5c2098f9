"""A report's folder: written beside its place and moved there whole, or not at all.

`NAME` is written as `.NAME.partial`; an older report steps aside as `.NAME.replaced` for the moment of the move. What a
killed run leaves of them is cleared, or put back, by the next one.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from backend.errors import ExportError
from backend.report.page import page_of
from backend.report.table import csv_of
from backend.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    out = out.absolute()
    draft, aside = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.replaced")
    files = {
        PAGE: page_of(report, label_studio_url),
        FIGURES: json.dumps(to_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        TABLE: csv_of(report),
    }
    try:
        if aside.exists() and not out.exists():
            aside.rename(out)
        check(out)
        _fill(draft, files)
        _put(draft, out, aside)
    except OSError as error:
        raise ExportError(
            f"The report cannot be written to {out}: {error.strerror or error}. "
            "Nothing there was changed. Make room or choose another place, and run it again."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(draft: Path, files: Mapping[str, str]) -> None:
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    for name, text in files.items():
        (draft / name).write_bytes(text.encode("utf-8", "replace"))


def _put(draft: Path, out: Path, aside: Path) -> None:
    """Move the draft to its place; a folder cannot be replaced in one step, so the old one steps aside first."""
    shutil.rmtree(aside, ignore_errors=True)
    if out.exists():
        out.rename(aside)
    try:
        draft.rename(out)
    except OSError:
        if aside.exists():
            aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)
