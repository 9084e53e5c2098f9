"""Numbered test clips: every frame carries its own number as black and white blocks, readable after any decoding.

Made with the ffmpeg that imageio-ffmpeg carries; one recipe for each kind of file that reading frames must survive.
Where there is none, OpenCV writes a few of them itself.
"""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from backend.errors import VRThinkerError
from backend.frames.capture import load_cv2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

COLUMNS, ROWS = 8, 2  # of blocks, in the top quarter of the frame
NUMBER_BITS, CHECK_BITS = 12, 4
DARK, LIGHT = 80, 176  # a block between the two is no block: the frame is damaged or carries no number


@dataclass(frozen=True, slots=True)
class Shape:
    """How long and large a clip is: frames, width and height in pixels, frames per second."""

    frames: int = 120
    width: int = 1280
    height: int = 720
    fps: int = 24


def paint(shape: Shape) -> Iterator[Pixels]:
    """The frames of a clip, height x width x 3 bytes (RGB): a texture that moves, with the frame's number on it."""
    coarse = np.random.default_rng(7).integers(
        60, 196, (shape.height // 8 + 2, shape.width // 8 + 2, 3), dtype=np.uint8
    )
    texture = np.asarray(Image.fromarray(coarse).resize((shape.width, shape.height)))
    for number in range(shape.frames):
        frame = np.roll(texture, (2 * number, 3 * number), (0, 1))
        for bit, box in zip(_bits(number), _boxes(shape.width, shape.height), strict=True):
            left, top, right, bottom = box
            frame[top:bottom, left:right] = 255 * bit
        yield frame


def read_number(image: Image.Image) -> int | None:
    """The number that a frame carries; None if it carries none or is damaged."""
    grey = np.asarray(image.convert("L"))
    bits = []
    for left, top, right, bottom in _boxes(image.width, image.height):
        inset_x, inset_y = (right - left) // 4, (bottom - top) // 4
        level = grey[top + inset_y : bottom - inset_y, left + inset_x : right - inset_x].mean()
        if DARK < level < LIGHT:
            return None
        bits.append(int(level >= LIGHT))
    number = sum(bit << place for place, bit in enumerate(bits[:NUMBER_BITS]))
    return number if bits == _bits(number) else None


def _bits(number: int) -> list[int]:
    """The number's bits, lowest first, then those of how many of them are zero: all black is no number."""
    bits = [number >> place & 1 for place in range(NUMBER_BITS)]
    return bits + [bits.count(0) >> place & 1 for place in range(CHECK_BITS)]


def _boxes(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom of each block."""
    across = [round(width * column / COLUMNS) for column in range(COLUMNS + 1)]
    down = [round(height * row / (4 * ROWS)) for row in range(ROWS + 1)]
    return [
        (across[column], down[row], across[column + 1], down[row + 1])
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]


X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
VP9 = ("-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-b:v", "2M", "-deadline", "realtime", "-cpu-used", "8")
UNEVEN = ("-vf", "settb=1/90000,setpts='(3*N+mod(N,3))/72/TB'", "-fps_mode", "passthrough", "-enc_time_base", "1/90000")
OPEN_GOP = ("-x264-params", "open-gop=1:keyint=24:min-keyint=24:bframes=3:scenecut=0")

# Kind of file -> its ending, and the arguments that encode it.
ENCODED: dict[str, tuple[str, tuple[str, ...]]] = {
    "h264": (".mp4", (*X264, "-bf", "3", "-g", "250")),
    "h264_short_gop": (".mp4", (*X264, "-g", "12")),
    "h264_444": (".mp4", ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv444p")),
    "hevc": (
        ".mp4",
        ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none"),
    ),
    "mpeg4": (".mp4", ("-c:v", "mpeg4", "-q:v", "4")),
    "mpeg4_avi": (".avi", ("-c:v", "mpeg4", "-q:v", "4")),
    "vp9": (".webm", VP9),
    "gif": (".gif", ()),
    "fragmented": (".mp4", (*X264, "-g", "30", "-movflags", "frag_keyframe+empty_moov")),
    "vfr_mp4": (".mp4", (*X264, *UNEVEN, "-video_track_timescale", "90000")),
    "vfr_mkv": (".mkv", (*X264, *UNEVEN)),
    "open_gop_ts": (".ts", (*X264, *OPEN_GOP)),
    "faststart": (".mp4", (*X264, "-movflags", "+faststart")),
    "interlaced": (".mp4", (*X264, "-x264-params", "tff=1", "-flags", "+ildct+ilme")),
    "interlaced_dv": (".avi", ("-c:v", "dvvideo", "-pix_fmt", "yuv420p", "-vf", "scale=720:576,setfield=bff")),
    "av1": (".mp4", ("-c:v", "libsvtav1", "-preset", "10", "-crf", "15", "-pix_fmt", "yuv420p")),
    "av1_webm": (".webm", ("-c:v", "libsvtav1", "-preset", "10", "-crf", "15", "-pix_fmt", "yuv420p")),
    "sparse_mkv": (".mkv", (*X264, "-vf", "select='lt(n,40)+not(mod(n,3))'", "-fps_mode", "passthrough")),
}

# Kinds of which OpenCV shows nothing, or nothing right.
BEYOND_OPENCV = ("interlaced", "interlaced_dv", "av1", "av1_webm")

# Kinds that OpenCV can write without ffmpeg, and the four letters by which it knows their codec.
BY_OPENCV = {"mpeg4": "mp4v", "mpeg4_avi": "XVID"}


def _cut(source: Path, target: Path) -> None:
    """Cut without re-encoding, between key frames: the frames before the cut stay in the file, unseen."""
    _ffmpeg("-ss", "1.3", "-i", str(source), "-c", "copy", str(target))


def _live(source: Path, target: Path) -> None:
    """What a browser's recorder writes: no duration, no index."""
    _ffmpeg("-i", str(source), "-c", "copy", "-f", "webm", "-live", "1", str(target))


def _rotated(source: Path, target: Path) -> None:
    """A phone's portrait recording: stored lying, shown upright."""
    _ffmpeg("-display_rotation:v:0", "90", "-i", str(source), "-c", "copy", str(target))


def _truncated(source: Path, target: Path) -> None:
    content = source.read_bytes()
    target.write_bytes(content[: len(content) * 2 // 5])


# Kind of file -> the kind it is made of, and how.
DERIVED: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "cut": ("h264", _cut),
    "live_webm": ("vp9", _live),
    "rotated": ("h264", _rotated),
    "truncated_mp4": ("faststart", _truncated),
    "truncated_webm": ("vp9", _truncated),
}


def make_clip(kind: str, folder: Path, shape: Shape) -> Path:
    """The numbered clip of this kind in `folder`, made if it is not there yet.

    Raises:
        VRThinkerError: there is no ffmpeg, or it cannot encode this kind.
    """
    source, convert = DERIVED.get(kind, (kind, None))
    ending, arguments = ENCODED[source]
    path = folder / f"{kind}-{shape.frames}x{shape.width}x{shape.height}x{shape.fps}{ending}"
    if path.exists():
        return path
    unfinished = path.with_name(f"unfinished-{path.name}")
    if kind in BY_OPENCV and not has_ffmpeg():
        _write(unfinished, shape, BY_OPENCV[kind])
    elif convert is None:
        encode(unfinished, shape, *arguments)
    else:
        convert(make_clip(source, folder, shape), unfinished)
    return unfinished.replace(path)


def make_sound(path: Path) -> None:
    """A file of one second of sound and no picture.

    Raises:
        VRThinkerError: there is no ffmpeg, or it refuses.
    """
    _ffmpeg("-f", "lavfi", "-i", "sine=duration=1", str(path))


def encode(path: Path, shape: Shape, *arguments: str) -> None:
    """Write a numbered clip with these encoder arguments of ffmpeg.

    Raises:
        VRThinkerError: there is no ffmpeg, or it refuses.
    """
    size = f"{shape.width}x{shape.height}"
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", size, "-framerate", str(shape.fps), "-i", "-")
    _ffmpeg(*raw, *arguments, str(path), frames=paint(shape))


def _write(path: Path, shape: Shape, codec: str) -> None:
    cv2 = load_cv2()
    file = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), shape.fps, (shape.width, shape.height))
    for frame in paint(shape):
        file.write(np.ascontiguousarray(frame[..., ::-1]))
    file.release()


def has_ffmpeg() -> bool:
    """Whether every kind of clip can be made here."""
    try:
        _ffmpeg_path()
    except VRThinkerError:
        return False
    return True


def _ffmpeg(*arguments: str, frames: Iterator[Pixels] | None = None) -> None:
    command = [_ffmpeg_path(), "-y", "-nostdin", "-loglevel", "error", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603  # own words
        with contextlib.suppress(BrokenPipeError):  # it refused, and says why
            for frame in frames or ():
                process.stdin.write(frame.tobytes())  # type: ignore[union-attr]  # it is a pipe
        _, problem = process.communicate()
    if process.returncode:
        raise VRThinkerError(f"ffmpeg made no {arguments[-1]}: {problem.decode(errors='replace').strip()}")


def _ffmpeg_path() -> str:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise VRThinkerError("Test clips need ffmpeg: pip install imageio-ffmpeg, or give clips of your own.") from None
