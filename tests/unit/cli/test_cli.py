"""The command line as a whole: its commands, its exit codes, its table of settings."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer

from backend import errors
from backend.cli import build_app, main
from backend.cli.exits import ExitCode, exit_code
from backend.cli.settings import markdown_table
from backend.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["vrthinker", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError("x"), ExitCode.USAGE),
        (errors.NoAnswerError("x"), ExitCode.NO_ANSWER),
        (errors.MediaUnavailableError("x"), ExitCode.MEDIA),
        (errors.CheckpointError("x"), ExitCode.CHECKPOINT),
        (errors.EngineUnavailableError("x"), ExitCode.ENGINE),
        (errors.QueueError("x"), ExitCode.FAILED),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: errors.VRThinkerError, code: ExitCode) -> None:
    assert exit_code(error) is code


def test_the_commands_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    told = capsys.readouterr().out
    for command in ("infer", "demo", "export", "sync", "web", "worker", "publisher", "settings"):
        assert f"\n  {command} " in told


def commands(app: typer.Typer, before: str = "") -> list[str]:
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    found = [f"{before}{name}" for name in names]
    for group in app.registered_groups:
        assert group.typer_instance
        found += commands(group.typer_instance, f"{group.name} ")
    return found


@pytest.mark.parametrize("command", commands(build_app()))
def test_every_command_tells_examples_and_exit_codes_in_words_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, *command.split(), "--help") == 0
    told = capsys.readouterr().out
    assert f"Examples:\n    vrthinker {command}" in told or f" vrthinker {command}\n" in told
    assert "Exit codes: 0 " in told
    assert not re.search(r"list\[|%Y|--[\w-]+ <\w+ range", told)


def test_settings_are_shown_without_their_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a-very-secret-token")
    monkeypatch.setenv("MEDIA_HOSTS", "one.example, two.example")
    assert run(monkeypatch, "settings") == 0
    told = capsys.readouterr().out
    assert "a-very-secret-token" not in told
    assert "MEDIA_HOSTS=one.example,two.example\n" in told


def test_a_setting_out_of_range_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "70000")
    assert run(monkeypatch, "settings") == 2
    assert capsys.readouterr().err.startswith("vrthinker: PORT is '70000'")


def test_the_table_has_a_described_row_for_every_setting() -> None:
    rows = markdown_table().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields)
    assert all(row.rstrip(" |").rpartition("|")[2].strip() for row in rows)


def test_naming_the_commands_loads_no_model() -> None:
    heavy = ("torch", "transformers", "cv2", "label_studio_sdk")
    program = f"import sys, backend.cli; backend.cli.build_app(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_whose_checkpoint_cannot_be_loaded_ends_with_one_sentence_and_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setenv("MODEL", str(tmp_path))
    command = [sys.executable, "-c", "from backend.cli import main; main()", "worker"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ended.returncode == ExitCode.CHECKPOINT
    [sentence] = ended.stderr.strip().splitlines()
    assert "is a 'llama' model, but only 'qwen2_5_vl'" in sentence
