"""Hints are worked in one after the other, and losing one harms no other."""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from backend.server.background import Background

if TYPE_CHECKING:
    import pytest


def test_hints_are_worked_in_their_order() -> None:
    background, done = Background(), list[int]()
    for number in range(50):
        assert background.submit("a hint", partial(done.append, number))
    background.close()
    assert done == list(range(50))


def test_a_hint_too_many_is_dropped_and_the_next_one_fits_again(caplog: pytest.LogCaptureFixture) -> None:
    background, go, done = Background(limit=2), Event(), Event()
    assert background.submit("first", go.wait)
    assert background.submit("second", done.set)
    assert not background.submit("third", lambda: None)
    assert "hint dropped, too many wait hint=third" in caplog.text
    go.set()
    assert done.wait(30)
    background.close()


def test_a_hint_that_breaks_is_told_and_the_next_one_is_worked_in(caplog: pytest.LogCaptureFixture) -> None:
    background, done = Background(), Event()
    background.submit("broken", lambda: 1 / 0)
    background.submit("sound", done.set)
    background.close()
    assert done.is_set()
    assert "hint lost" in caplog.text
    assert "ZeroDivisionError" in caplog.text
