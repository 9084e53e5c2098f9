"""Frames on disk, so that tasks that share a video decode it once. A convenience: whatever fails here is a miss.

Each file's frames stand in a folder of their own, named by the file's path, size and time of change and by the size of
the pictures. Files are written aside and renamed, so several processes can share a folder; the least recently used
videos go when the folder grows too large.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from PIL import Image

from backend.frames.picture import Picture
from backend.types import Clip

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from backend.types import VideoNumber

FACTS = "clip.json"
UNFINISHED = ".part"


@dataclass(frozen=True, slots=True)
class FrameCache:
    """A folder of decoded frames, of at most `max_bytes` after each video that is added."""

    folder: Path
    max_bytes: int

    def shelf(self, video: Path, size: tuple[int, int]) -> Shelf | None:
        """The place of one video's frames in one picture size; None for a file that cannot be found."""
        try:
            path = video.resolve(strict=True)
            state = path.stat()
        except OSError:
            return None
        identity = repr((str(path), state.st_size, state.st_mtime_ns, state.st_ino, size))
        return Shelf(self, self.folder / hashlib.sha256(identity.encode()).hexdigest()[:32], size)

    def trim(self) -> None:
        """Remove the least recently used videos until the rest fits."""
        shelves = []
        for shelf in self.folder.iterdir():
            with contextlib.suppress(OSError):  # another process removed it
                used = (shelf / FACTS).stat().st_mtime
                # What others are just writing is not counted: it may be a second copy of what is here.
                finished = [file for file in shelf.iterdir() if file.suffix != UNFINISHED]
                shelves.append((used, sum(file.stat().st_size for file in finished), shelf))
        total = sum(size for _, size, _ in shelves)
        for _, size, shelf in sorted(shelves):
            if total <= self.max_bytes:
                return
            shutil.rmtree(shelf, ignore_errors=True)
            total -= size


@dataclass(frozen=True, slots=True)
class Shelf:
    """One video's frames on disk."""

    cache: FrameCache
    folder: Path
    size: tuple[int, int]

    def clip(self, number: VideoNumber) -> Clip | None:
        """What was learnt about the video; None if nothing is known."""
        try:
            facts = json.loads((self.folder / FACTS).read_bytes())
            return Clip(number, **facts)
        except (OSError, ValueError, TypeError):
            return None

    def pictures(self, indices: Collection[int]) -> dict[int, Picture]:
        """Those of the wanted frames that are here."""
        found = {}
        for wanted in indices:
            with contextlib.suppress(OSError, ValueError, KeyError):
                found[wanted] = self._read(wanted)
        if found:
            with contextlib.suppress(OSError):
                os.utime(self.folder / FACTS)  # what `trim` goes by
        return found

    def _read(self, wanted: int) -> Picture:
        head, pixels = (self.folder / f"{wanted}.rgb").read_bytes().split(b"\n", 1)
        facts = json.loads(head)
        return Picture(facts["index"], facts["seconds"], Image.frombytes("RGB", self.size, pixels))

    def put(self, clip: Clip, pictures: Mapping[int, Picture]) -> None:
        """Add frames, by the frame that was wanted. A full disk or a folder in use costs nothing but the saving."""
        facts = asdict(clip)
        del facts["video"]
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(FACTS, json.dumps(facts).encode())
            for wanted, picture in pictures.items():
                head = json.dumps({"index": picture.index, "seconds": picture.seconds}).encode()
                self._write(f"{wanted}.rgb", head + b"\n" + picture.image.tobytes())
            self.cache.trim()

    def _write(self, name: str, content: bytes) -> None:
        unfinished = self.folder / f"{uuid4().hex}{UNFINISHED}"
        unfinished.write_bytes(content)
        unfinished.replace(self.folder / name)
