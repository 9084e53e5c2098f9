"""Video files for tests: numbered clips of every kind, files that are no video, and files that lie or are damaged."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from backend.bench.clips import BEYOND_OPENCV, DERIVED, ENCODED, Shape, make_clip, make_sound
from tests.needs import missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = Shape(frames=120, width=64, height=48, fps=24)
LONG = Shape(frames=1800, width=64, height=48, fps=30)
# Those that OpenCV shows, and whose numbers stand upright.
KINDS = tuple(kind for kind in (*ENCODED, *DERIVED) if kind not in {"rotated", *BEYOND_OPENCV})


@dataclass
class Clips:
    """Makes each clip once, in a folder of its own."""

    folder: Path
    _made: dict[str, Path] = field(default_factory=dict)

    def clip(self, kind: str, shape: Shape = SMALL) -> Path:
        """A numbered clip of this kind."""
        try:
            import imageio_ffmpeg
        except ImportError:
            missing("imageio-ffmpeg is not installed")
        assert imageio_ffmpeg.get_ffmpeg_exe()
        return make_clip(kind, self.folder, shape)

    def other(self, name: str) -> Path:
        """A file of `OTHER_FILES`: none of them shows a picture."""
        path = self.folder / name
        if not path.exists():
            OTHER_FILES[name](self, path)
        return path

    def write(self, name: str, content: bytes) -> Path:
        """A file with this content."""
        path = self.folder / name
        path.write_bytes(content)
        return path


def _content(content: bytes) -> Callable[[Clips, Path], None]:
    def write(_: Clips, path: Path) -> None:
        path.write_bytes(content)

    return write


def _picture(kind: str) -> Callable[[Clips, Path], None]:
    def write(_: Clips, path: Path) -> None:
        Image.new("RGB", (64, 48)).save(path, kind)

    return write


def _sound(_: Clips, path: Path) -> None:
    make_sound(path)


def _without_index(clips: Clips, path: Path) -> None:
    content = clips.clip("h264").read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])


def _index_alone(clips: Clips, path: Path) -> None:
    content = clips.clip("faststart").read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])


OTHER_FILES: dict[str, Callable[[Clips, Path], None]] = {
    "empty.mp4": _content(b""),
    "text.mp4": _content(b"This is not a video.\n"),
    "page.mp4": _content(b"<!DOCTYPE html><html><title>Log in</title></html>"),
    "playlist.mp4": _content(b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
    "concat.mp4": _content(b"ffconcat version 1.0\nfile /etc/passwd\n"),
    "noise.mp4": _content(bytes(range(256)) * 20),
    "picture.mp4": _picture("PNG"),
    "photo.mp4": _picture("JPEG"),
    "sound.mp4": _sound,
    "sound.webm": _sound,
    "sound.mp3": _sound,
    "sound.wav": _sound,
    "no_index.mp4": _without_index,
    "index_alone.mp4": _index_alone,
}


def with_duration(webm: bytes, seconds: float) -> bytes:
    """A WebM file that claims another duration, from which its number of frames is computed."""
    at = webm.index(b"\x44\x89\x88") + 3  # the Duration element, a double of milliseconds
    return webm[:at] + struct.pack(">d", seconds * 1000) + webm[at + 8 :]


def with_frame_duration(mp4: bytes, ticks: int) -> bytes:
    """An MP4 file whose frames claim to last this long each: 0 for no frame rate at all."""
    at = mp4.index(b"stts") + 12
    return mp4[:at] + struct.pack(">I", ticks) + mp4[at + 4 :]


def with_timescale(mp4: bytes, ticks_per_second: int) -> bytes:
    """An MP4 file that claims another unit of time for its video track."""
    at = mp4.index(b"mdhd") + 16
    return mp4[:at] + struct.pack(">I", ticks_per_second) + mp4[at + 4 :]


def with_damage(video: bytes, start: float, length: float) -> bytes:
    """A file with zeros in part of its media, given as fractions of it."""
    media = video.index(b"mdat") + 4
    first = media + int((len(video) - media) * start)
    count = int((len(video) - media) * length)
    return video[:first] + bytes(count) + video[first + count :]
