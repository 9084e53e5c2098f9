"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

FIRST_PROJECT = 1  # as Label Studio counts; 0 would mean every project in the ledger

Project = Annotated[
    int, typer.Argument(min=FIRST_PROJECT, help="The project's id: the number in its address in Label Studio.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
