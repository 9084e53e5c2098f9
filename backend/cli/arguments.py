"""Arguments and options that several commands have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from backend.errors import SettingsError

FIRST_PROJECT = 1  # as Label Studio counts; 0 would mean every project in the ledger

Project = Annotated[
    int,
    typer.Argument(
        metavar="PROJECT", min=FIRST_PROJECT, help="The project's id: the number in its address in Label Studio."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def moment(text: str) -> datetime:
    """What --since says: a date or a time, in UTC unless it says otherwise; given in UTC.

    Raises:
        SettingsError: it is neither.
    """
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"--since is {text!r}. Write a date such as 2026-05-01, or a time such as 2026-05-01T08:00+02:00."
        ) from None
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
