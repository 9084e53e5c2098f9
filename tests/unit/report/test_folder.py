"""A report's folder is there whole or not at all, and nobody's files are in danger."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.errors import ExportError
from backend.report import folder
from tests.unit.report.project import SmallProject

if TYPE_CHECKING:
    from backend.report.figures import Report


@pytest.fixture
def report(project: SmallProject) -> Report:
    project.judged(1, "1111")
    project.answered(1, "1112")
    return project.report()


def names(place: Path) -> set[str]:
    return {file.name for file in place.iterdir()}


def test_a_report_is_three_files(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "place" / "report"
    out.parent.mkdir()
    folder.write(report, out)
    assert names(out) == {"report.html", "report.json", "report.csv"}
    assert names(out.parent) == {"report"}


def test_an_older_report_is_replaced(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "place" / "report"
    out.mkdir(parents=True)
    folder.write(report, out)
    (out / "report.json").write_text("old")
    folder.write(report, out)
    assert (out / "report.json").read_text().startswith("{")
    assert names(out) == {"report.html", "report.json", "report.csv"}
    assert names(out.parent) == {"report"}


@pytest.mark.parametrize("failing", ["write_bytes", "rename"])
def test_a_full_disk_leaves_what_was_there(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    out = tmp_path / "place" / "report"
    out.parent.mkdir()
    folder.write(report, out)
    (out / "report.json").write_text("old")
    whole = getattr(Path, failing)

    def refuse(path: Path, *args: object) -> object:
        if path.name == "report.csv" or path.suffix == ".partial":
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, *args)

    monkeypatch.setattr(Path, failing, refuse)
    with pytest.raises(ExportError, match=r"full; nothing was written.*Make room"):
        folder.write(report, out)
    assert names(out.parent) == {"report"}
    assert (out / "report.json").read_text() == "old"


def test_other_peoples_files_stay(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match=r"no report, e.g. thesis.txt, and stays as it is"):
        folder.check(out)
    with pytest.raises(ExportError, match=r"no report, e.g. thesis.txt, and stays as it is"):
        folder.write(report, out)
    assert names(out) == {"thesis.txt"}


def test_files_beside_a_report_stay(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    folder.write(report, out)
    (out / "notes.txt").touch()
    with pytest.raises(ExportError, match=r"notes\.txt"):
        folder.write(report, out)
    assert names(out) == {"report.html", "report.json", "report.csv", "notes.txt"}


@pytest.mark.parametrize("moved", [True, False], ids=["in the middle of the move", "before it"])
def test_what_a_killed_run_left_is_cleared(report: Report, tmp_path: Path, moved: bool) -> None:
    out = tmp_path / "place" / "report"
    out.parent.mkdir()
    folder.write(report, out)
    (out.parent / ".report.partial").mkdir()
    (out.parent / ".report.partial" / "report.html").touch()
    if moved:
        out.rename(out.parent / ".report.replaced")
    folder.write(report, out)
    assert names(out) == {"report.html", "report.json", "report.csv"}
    assert names(out.parent) == {"report"}


def test_a_place_that_cannot_be_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"There is no folder .*nowhere"):
        folder.check(tmp_path / "nowhere" / "report")
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="is no folder"):
        folder.check(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ExportError, match="is no folder"):
        folder.check(tmp_path / "link")
