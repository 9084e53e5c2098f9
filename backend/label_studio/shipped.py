"""Where the labeling config is that comes with this package."""

from __future__ import annotations

from pathlib import Path

NAME = "pairwise_video.xml"
PACKAGE = Path(__file__).parents[1]


def shipped_config() -> Path:
    """Our labeling config: in an installed package beside its code (see setup.py), in a checkout at its top."""
    packaged = PACKAGE / "label_config" / NAME
    return packaged if packaged.is_file() else PACKAGE.parent / "label_config" / NAME
