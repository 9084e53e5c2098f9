"""Text that every database takes: JSON and PostgreSQL differ on NUL and on halves of surrogate pairs."""

from __future__ import annotations

LONGEST_MESSAGE = 2000  # characters


def sayable(message: str) -> str:
    """A message that every database takes and every page can show: no NUL, no half characters, not endless."""
    return message.encode("utf-8", "replace").decode().replace("\0", "")[:LONGEST_MESSAGE]
