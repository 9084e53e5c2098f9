"""Reads a Compose file as Docker Compose does, without Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^{}]*))?\}")  # an innermost one: a default may hold another variable
FILLED_IN = {"REDIS_PASSWORD": "secret"}


def composed(text: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file's content: anchors merged, variables filled in from a minimal `.env` and `env`; empty is unset."""
    known = FILLED_IN | dict(env or {})

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if known.get(name):
            return known[name]
        assert kind == "-", f"{name} has neither a value nor a default"
        return str(rest)

    while VARIABLE.search(text):
        text = VARIABLE.sub(fill, text)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return {name: value for name, value in loaded.items() if not name.startswith("x-")}
