"""How Hypothesis runs here: no deadlines, because a busy machine is not a failing test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
