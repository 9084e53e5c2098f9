"""The scripted engine gives its replies in order and fails loudly when they are used up."""

from __future__ import annotations

import pytest

from backend.types import Completion, Message, Text
from tests.fakes import ScriptedEngine

HELLO = (Message("user", (Text("Hello"),)),)


def test_replies_come_in_order_and_what_was_seen_is_kept() -> None:
    engine = ScriptedEngine(["one", "two"])
    assert engine.complete(HELLO, max_new_tokens=9).text == "one"
    longer = (*HELLO, Message("assistant", (Text("one"),)))
    assert engine.complete(longer, max_new_tokens=9).text == "two"
    assert engine.seen == [HELLO, longer]


def test_tokens_of_a_text_are_its_words_up_to_the_limit() -> None:
    engine = ScriptedEngine(["a b c", "a b c"])
    assert engine.complete(HELLO, max_new_tokens=9).completion_tokens == 3
    assert engine.complete(HELLO, max_new_tokens=2).completion_tokens == 2


def test_a_completion_is_given_as_it_is() -> None:
    completion = Completion("cut", 7, 2, truncated=True)
    assert ScriptedEngine([completion]).complete(HELLO, max_new_tokens=1) is completion


def test_a_used_up_script_fails_with_the_number_of_replies_it_had() -> None:
    engine = ScriptedEngine(["only one"])
    engine.complete(HELLO, max_new_tokens=9)
    with pytest.raises(AssertionError, match="used up after 1 replies"):
        engine.complete(HELLO, max_new_tokens=9)
