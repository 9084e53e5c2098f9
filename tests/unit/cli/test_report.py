"""`vrthinker report` as a person runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from backend.cli import main, report
from tests.clips import Clips
from tests.unit.report.project import TWO, SmallProject

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallProject:
    small = SmallProject(tmp_path)
    small.judged(1, "1111")
    small.answered(1, "2222")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", small.url)
    return small


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of `vrthinker report` with these arguments."""
    monkeypatch.setattr("sys.argv", ["vrthinker", "report", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def figures(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_a_report_is_written_and_its_place_told(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, 7, "--out", "report") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "1 answers, 0 not counted, 1 model versions: report/report.html" in printed.err
    assert figures(tmp_path / "report")["versions"][0]["hardest"][0]["prompt"] == "a dog runs"
    assert "http://127.0.0.1:8080/projects/7/data?task=1" in (tmp_path / "report" / "report.html").read_text()


def test_json_is_for_scripts(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.judged(1, "2222", TWO)
    assert run(monkeypatch, 7, "--out", "report", "--json", "--model-version", TWO) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == "report/report.html"
    assert (told["answers"], told["versions"]) == (1, [TWO])


def test_since_leaves_out_what_is_older(project: SmallProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, 7, "--out", "report", "--since", "2026-05-05T02:00+02:00") == 0
    assert figures(tmp_path / "report")["counts"]["left"] == {"older": 1}


def test_frames_of_the_hardest_pairs_are_put_in_and_what_is_missing_is_said(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = Clips(tmp_path).clip("h264")
    project.judged(2, "1111", video=str(clip), prompt="a bar")
    project.answered(2, "2222")
    monkeypatch.setenv("MEDIA_ROOTS", str(tmp_path))
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    assert run(monkeypatch, 7, "--out", "report", "--frames") == 0
    found = {hard["prompt"]: hard["examples"][0] for hard in figures(tmp_path / "report")["versions"][0]["hardest"]}
    assert [uri[:23] for uri in found["a bar"]["strips"]] == ["data:image/jpeg;base64,"] * 2
    assert found["a dog runs"]["strips"] == []
    assert found["a dog runs"]["no_strips"].startswith("No pictures: ")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["8", "--out", "report"], 2, "Nothing is known of project 8"),
        (["7", "--out", "report", "--model-version", "none"], 2, "There are: tiny-1.contract"),
        (["7", "--out", "report", "--since", "May"], 2, "--since is 'May'"),
        (["7", "--out", "no/where"], 1, "There is no folder"),
        (["7"], 2, "--out"),
    ],
)
def test_what_cannot_be_reported_is_told_in_one_message(
    project: SmallProject,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    assert run(monkeypatch, *arguments) == code
    assert says in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_a_library_that_is_not_installed_is_named(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "LIBRARIES", ("numpy", "no_such_library"))
    assert run(monkeypatch, 7, "--out", "report") == 1
    assert "Reports need no_such_library. Install them: pip install 'vrthinker[export]'." in capsys.readouterr().err
