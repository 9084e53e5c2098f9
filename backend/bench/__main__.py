"""`python -m backend.bench`: the benches without the rest of the package's dependencies."""

from __future__ import annotations

import sys

from backend.bench.commands import build_app
from backend.errors import VRThinkerError

if __name__ == "__main__":
    try:
        build_app()()
    except VRThinkerError as error:
        sys.exit(f"vrthinker bench: {error}")
