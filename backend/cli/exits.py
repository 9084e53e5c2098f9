"""Exit codes: scripts tell by them what went wrong."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from backend.errors import (
    CheckpointError,
    EngineError,
    MediaError,
    NoAnswerError,
    NoMatchError,
    NothingToExportError,
    SettingsError,
    TaskDataError,
)

if TYPE_CHECKING:
    from backend.errors import VRThinkerError


class ExitCode(IntEnum):
    """What the command line ends with; 2 is also what a misspelt option gives."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_ANSWER = 3
    MEDIA = 4
    CHECKPOINT = 5
    ENGINE = 6
    NO_MATCH = 7
    INTERRUPTED = 130  # 128 and SIGINT's number, as shells count


EXITS: tuple[tuple[type[VRThinkerError], ExitCode], ...] = (
    (SettingsError, ExitCode.USAGE),
    (TaskDataError, ExitCode.USAGE),
    (NoAnswerError, ExitCode.NO_ANSWER),
    (MediaError, ExitCode.MEDIA),
    (CheckpointError, ExitCode.CHECKPOINT),
    (EngineError, ExitCode.ENGINE),
    (NoMatchError, ExitCode.NO_MATCH),
    (NothingToExportError, ExitCode.NO_MATCH),
)


def exit_code(error: VRThinkerError) -> ExitCode:
    """The code that an error ends the command with."""
    return next((code for kind, code in EXITS if isinstance(error, kind)), ExitCode.FAILED)
