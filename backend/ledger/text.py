"""Text that every database takes: JSON and PostgreSQL differ on NUL and on halves of surrogate pairs."""

from __future__ import annotations

from typing import Any

LONGEST_MESSAGE = 2000  # characters


def sayable(message: str) -> str:
    """A message that every database takes and every page can show: no NUL, no half characters, not endless."""
    return message.encode("utf-8", "replace").decode().replace("\0", "")[:LONGEST_MESSAGE]


def cleaned(text: str) -> str:
    """The text with a question mark for each NUL and each half character."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def storable(value: Any) -> Any:  # noqa: ANN401  # JSON
    """JSON with each of its texts cleaned: PostgreSQL looks into no other."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, dict):
        return {key: storable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [storable(each) for each in value]
    return value
