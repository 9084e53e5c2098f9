"""`vrthinker settings`: what can be set, and the README's table of it."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import SecretStr

from backend.settings import BUNDLED_CHECKPOINT, Settings, load_settings

HEADER = ("Variable", "Default", "What it does")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("settings")(settings)


def settings(
    *, markdown: Annotated[bool, typer.Option("--markdown", help="Print the README's table of all settings.")] = False
) -> None:
    """Show every setting and the value it has now; secrets stay hidden.

    \b
    Examples:
      vrthinker settings
      MODEL=tuned vrthinker settings

    \b
    Exit codes: 0 shown, 2 a setting has a value that it cannot have.
    """  # noqa: D301  # \b keeps the help's line breaks
    if markdown:
        typer.echo(markdown_table())
        return
    current = load_settings()
    for name in Settings.model_fields:
        value = getattr(current, name)
        typer.echo(f"{name.upper()}={_shown(value)}")


def markdown_table() -> str:
    """One row per setting: its variable, its default and its description."""
    rows = [HEADER, ("---",) * len(HEADER)]
    for name, field in Settings.model_fields.items():
        default = _plain(field.default)
        rows.append((f"`{name.upper()}`", f"`{default}`" if default else "", field.description or ""))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _plain(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()  # a default is no secret
    if default == str(BUNDLED_CHECKPOINT):
        return "backend/checkpoints/tiny"
    if default is None or default == ():
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return "" if value is None else str(value)
