"""A folder that is there whole or not at all: written beside its place, moved in at the end.

`NAME` is written as `.NAME.partial`. What a crash leaves of that is cleared by the next writer; an older folder that is
being replaced stands aside as `.NAME.replaced` for the moment of the move, and is put back if that was interrupted. A
place that is a link is where the link points.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def replacing(target: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """An empty folder that becomes `target` when the block ends well, and vanishes when it does not.

    `check` is to raise where `target` holds what must not be lost.

    Raises:
        ExportError: somebody else writes it, the disk is full or cannot be used.
    """
    target = Path(os.path.realpath(target))  # Path.resolve raises where links lead in a circle
    partial, replaced = (target.with_name(f".{target.name}.{state}") for state in ("partial", "replaced"))
    with _mapped(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(exist_ok=True)
        held = _locked(partial, target)
        try:
            try:
                if replaced.is_dir() and not replaced.is_symlink() and not target.exists():
                    replaced.rename(target)
                check(target)
                _clear(partial)
                yield partial
                _move(partial, target, replaced)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        finally:
            os.close(held)


def _locked(folder: Path, target: Path) -> int:
    """A descriptor that keeps other writers out; the system gives it up when this process dies."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise ExportError(f"Another command is writing {target}. Wait for it, or name another folder.") from None
    return held


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _move(partial: Path, target: Path, replaced: Path) -> None:
    """A folder cannot be replaced in one step, so the old one steps aside first."""
    if replaced.is_symlink():
        replaced.unlink()
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        target.rename(replaced)
    try:
        partial.rename(target)
    except OSError:
        if replaced.exists():
            replaced.rename(target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def _mapped(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ExportError(
                f"The disk of {target.parent} is full; nothing was written. Make room, or name a folder elsewhere."
            ) from error
        raise ExportError(
            f"{target} cannot be written: {error.strerror or error}. Check the folder and its rights."
        ) from error
