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
