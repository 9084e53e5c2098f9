"""One line per job, and nothing in it that must not be there."""

from __future__ import annotations

import logging

import pytest

from backend.log import configure_logging, line


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"task": 7, "seconds": 12.345678}, "judged task=7 seconds=12.3"),
        ({"message": "no such file"}, 'judged message="no such file"'),
        ({"message": 'two\nlines "quoted"'}, "judged message=\"two lines 'quoted'\""),
        ({"message": ""}, 'judged message=""'),
        ({"message": "a=b"}, 'judged message="a=b"'),
        ({"reason": None}, "judged"),
    ],
)
def test_a_line_is_one_line_of_named_values(fields: dict[str, object], expected: str) -> None:
    assert line("judged", **fields) == expected


@pytest.mark.parametrize(
    "control",
    ["\x1b", "\a", "\b", "\0", "\x7f", "\x9b", "\u200f", "\u202e", "\u2066", "\ud800", "\u2028", "\u2029", "\x85"],
)
def test_a_value_holds_nothing_that_a_terminal_obeys(control: str) -> None:
    said = line("not judged", message=f"x{control}[2Jé\r\nnot judged task=7")
    assert said.isprintable()
    assert said.splitlines() == [said]
    assert "[2Jé not judged task=7" in said


def test_a_long_value_is_cut() -> None:
    assert len(line("judged", message="x" * 10_000)) < 400


@pytest.fixture
def restored_logging() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield None
    root.handlers[:], root.level = handlers, level


@pytest.mark.usefixtures("restored_logging")
def test_libraries_that_log_addresses_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    logging.getLogger("httpx").info("GET https://bucket/key?signature=secret")
    logging.getLogger("backend.jobs").info("judged task=1")
    said = capsys.readouterr().err
    assert "secret" not in said
    assert said.endswith("Z INFO backend.jobs judged task=1\n")


@pytest.mark.usefixtures("restored_logging")
def test_a_traceback_keeps_its_lines_and_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    try:
        raise ValueError("\x1b]0;owned\a")
    except ValueError:
        logging.getLogger("backend.jobs").exception("crashed")
    said = capsys.readouterr().err
    assert said.endswith("ValueError: \\x1b]0;owned\\x07\n")
    assert len(said.splitlines()) > 3
