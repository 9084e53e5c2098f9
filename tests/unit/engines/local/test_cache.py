"""What is kept of a conversation: the longest common prefix, whole pictures, the same frames; each in its own row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from backend.engines.local.cache import GROWTH, KeyValues, Row, Window
from backend.engines.local.prompt import Prompt, Span
from tests.unit.engines.local.pictures import noise

if TYPE_CHECKING:
    from backend.types import Frame

A, B, C = noise(1), noise(2), noise(3)
PAD = 9


def prompt(*parts: int | Frame) -> Prompt:
    """Numbers are tokens; a frame is three image tokens."""
    ids: list[int] = []
    spans = []
    for part in parts:
        if isinstance(part, int):
            ids.append(part)
        else:
            spans.append(Span(part, len(ids), len(ids) + 3))
            ids += [PAD] * 3
    return Prompt(tuple(ids), tuple(spans), torch.empty(0))


def filled(held: Prompt, generated: list[int]) -> Row:
    """A row after a reply: it holds everything but the last token."""
    row = Row(0)
    row.hold(held)
    for token in generated[:-1]:
        row.append(token)
    return row


HELD = prompt(1, 2, A, 3, B, 4)


@pytest.mark.parametrize(
    ("following", "kept"),
    [
        pytest.param(prompt(1, 2, A, 3, B, 4, 5, 6, 7), 12, id="the reply came back as it was generated"),
        pytest.param(prompt(1, 2, A, 3, B, 4, 5, 8, 7), 11, id="the reply came back as other tokens"),
        pytest.param(prompt(1, 2, A, 3, B, 4, 5, 6, C, 7), 12, id="a new picture follows"),
        pytest.param(HELD, 9, id="the same prompt again: its last token must be computed"),
        pytest.param(prompt(1, 2, A, 3, B), 6, id="shorter, ending in a picture: not cut inside it"),
        pytest.param(prompt(1, 2, A, 3, C, 4, 5, 6), 6, id="another second picture"),
        pytest.param(prompt(1, 2, C, 3, B, 4, 5, 6), 2, id="another first picture"),
        pytest.param(prompt(1, 2, 3, B, 4), 2, id="a picture left the memory window"),
        pytest.param(prompt(8, 2, A, 3), 0, id="another beginning"),
        pytest.param(prompt(1, 2, A, A, B, 4), 5, id="pictures without words between"),
    ],
)
def test_what_is_kept(following: Prompt, kept: int) -> None:
    row = filled(HELD, [5, 6, 7])
    assert row.keep_common(following) == kept
    assert len(row) == kept


def test_an_empty_row_keeps_nothing() -> None:
    assert Row(0).keep_common(HELD) == 0


def test_after_clear_nothing_is_kept() -> None:
    row = filled(HELD, [5])
    row.clear()
    assert row.keep_common(HELD) == 0
    assert row.abandoned


def test_a_frame_that_is_gone_is_never_mistaken_for_another() -> None:
    passing = noise(4)
    row = filled(prompt(1, passing, 2), [3])
    assert not row.abandoned
    del passing
    assert row.abandoned
    assert row.keep_common(prompt(1, noise(4), 2, 3)) == 1


@pytest.mark.parametrize(
    ("following", "pictures"),
    [(prompt(1, 2, A, 3, B, 4, 5), 2), (prompt(A, B, C), 2), (prompt(A), 1), (prompt(B, A), 0), (prompt(1, 2), 0)],
)
def test_a_row_knows_with_how_many_of_its_pictures_a_prompt_begins(following: Prompt, pictures: int) -> None:
    assert filled(HELD, [5]).common_pictures(following) == pictures


def numbered(rows: int, tokens: int, start: int) -> torch.Tensor:
    """Keys whose values are their place in the row, plus 1000 for each row; two heads, one wide."""
    places = torch.arange(start, start + tokens).float() + 1000 * torch.arange(rows)[:, None]
    return places[:, None, :, None].expand(rows, 2, tokens, 1)


def written(values: KeyValues, first: int, places: list[list[int]]) -> torch.Tensor:
    """What the rows from `first` on show after numbered keys were written at `places`."""
    window = Window(first, first + len(places), torch.tensor(places))
    values.aim(window)
    keys, _ = values.update(
        numbered(len(places), len(places[0]), places[0][0]), torch.zeros(len(places), 2, len(places[0]), 1), 0
    )
    return keys[:, 0, :, 0]


def test_rows_are_written_each_at_its_own_place_and_leave_the_others_alone() -> None:
    values = KeyValues()
    assert written(values, 1, [[0, 1, 2, 3]]).tolist() == [[0, 1, 2, 3]]
    assert written(values, 2, [[0, 1]]).tolist() == [[0, 1]]
    both = written(values, 1, [[4], [2]])
    assert both.tolist() == [[0, 1, 2, 3, 4], [0, 1, 1004, 0, 0]]


def test_growing_keeps_what_is_there() -> None:
    values = KeyValues()
    written(values, 1, [[0, 1, 2]])
    far = GROWTH + 5
    assert written(values, 0, [list(range(far))]).shape == (1, far)
    assert written(values, 1, [[3]]).tolist() == [[0, 1, 2, 3]]


def test_writing_without_saying_where_is_refused() -> None:
    with pytest.raises(RuntimeError, match="aim"):
        KeyValues().update(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), 0)
