"""Start Training's wishes are granted by the real command, in a process of its own."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.errors import LedgerError
from backend.ledger import ExportRequest, ExportState, Ledger
from backend.worker import exporting
from backend.worker.exporting import Exporting
from tests.unit.export.people import PROJECT, TA, VIDEO_1, People

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")  # nobody answers there, and nobody is asked
    monkeypatch.chdir(tmp_path)
    opened = Ledger.open(url)
    yield opened
    opened.close()


def granted(ledger: Ledger, folder: Path, project: int = PROJECT, stopped: bool = False) -> ExportRequest:
    """What the ledger says after one wish was looked after."""
    ledger.ask_for_export(project)
    request, event = ledger.begin_export(), threading.Event()
    assert request is not None
    if stopped:
        event.set()
    Exporting(ledger, folder).write(request, event)
    return next(one for one in ledger.export_requests() if one.project == project)


def endless(folder: Path) -> str:
    """A program that nobody waits for; the tests that start it would last as long as it does."""
    program = folder / "endless"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_what_people_corrected_is_exported_and_found_where_the_ledger_says(ledger: Ledger, tmp_path: Path) -> None:
    people = People(ledger)
    for task in (1, 2):
        people.task(task)
    people.answer(1, {TA: VIDEO_1})
    people.answer(2)
    request = granted(ledger, tmp_path / "exports")
    assert (request.state, request.message) == (ExportState.DONE, "")
    assert Path(request.folder).parent == tmp_path / "exports" / f"project-{PROJECT}"
    manifest = json.loads((Path(request.folder) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"]["records"] == 1


def test_where_there_is_nothing_to_export_the_reason_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    People(ledger).task(1)
    request = granted(ledger, tmp_path / "exports")
    assert request.state is ExportState.FAILED
    assert "nothing to export" in request.message


def test_a_project_that_nobody_knows_fails_with_the_commands_own_words(ledger: Ledger, tmp_path: Path) -> None:
    request = granted(ledger, tmp_path / "exports", project=99)
    assert request.state is ExportState.FAILED
    assert "The ledger does not know project 99" in request.message
    assert not (tmp_path / "exports").exists()


def test_a_publisher_that_is_stopped_ends_the_export_and_leaves_it_to_the_next(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_command", lambda _project, _out: [endless(tmp_path)])
    assert granted(ledger, tmp_path / "exports", stopped=True).state is ExportState.RUNNING


def test_a_ledger_that_is_lost_meanwhile_ends_the_export_too(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_project: int) -> None:
        raise LedgerError("the database is gone")

    monkeypatch.setattr(exporting, "_command", lambda _project, _out: [endless(tmp_path)])
    monkeypatch.setattr(exporting, "RENEW_S", 0.0)
    monkeypatch.setattr(ledger, "renew_export", lost)
    with pytest.raises(LedgerError, match="gone"):
        granted(ledger, tmp_path / "exports")


def test_a_command_that_is_not_there_is_told(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_command", lambda _project, _out: [str(tmp_path / "nothing")])
    request = granted(ledger, tmp_path / "exports")
    assert request.state is ExportState.FAILED
    assert "cannot be started" in request.message
