"""What kind of file this is, from its bytes alone, and in plain words why one cannot be shown.

Files are known by what they hold, never by their names, and only kinds listed here reach the decoder. That keeps out
playlists and other text formats through which a "video" could make the decoder read other files or addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD_BYTES = 4096
MOST_BOXES = 100_000  # at the top level: fragmented files have two for every fragment
MOOV_BYTES = 64 << 20  # an index this large belongs to days of video


class Container(StrEnum):
    """The kinds of video file that are decoded."""

    MP4 = "MP4"
    MATROSKA = "Matroska or WebM"
    AVI = "AVI"
    GIF = "GIF"
    MPEG_TS = "MPEG transport stream"
    MPEG_PS = "MPEG program stream"
    FLV = "Flash video"
    OGG = "Ogg"
    ASF = "Windows Media"
    IVF = "IVF"
    Y4M = "YUV4MPEG2"
    BARE = "bare MPEG, H.264 or H.265 stream"

    @property
    def has_key_frame_index(self) -> bool:
        """Whether seeking lands on a key frame because the file says where they are."""
        return self in {Container.MP4, Container.MATROSKA, Container.AVI}

    @property
    def can_be_sought(self) -> bool:
        """Whether seeking lands close to a time, on a key frame or not."""
        return self.has_key_frame_index or self is Container.MPEG_TS


@dataclass(frozen=True, slots=True)
class Unplayable:
    """A file that is no video we decode; `problem` goes on after the file's name: "is empty. Provide ..."."""

    problem: str


VIDEO_SIGNATURES = (
    (0, b"\x1a\x45\xdf\xa3", Container.MATROSKA),
    (8, b"AVI ", Container.AVI),
    (0, b"GIF87a", Container.GIF),
    (0, b"GIF89a", Container.GIF),
    (0, b"\x00\x00\x01\xba", Container.MPEG_PS),
    (0, b"FLV\x01", Container.FLV),
    (0, b"OggS", Container.OGG),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container.ASF),
    (0, b"DKIF", Container.IVF),
    (0, b"YUV4MPEG2 ", Container.Y4M),
    (0, b"\x00\x00\x01\xb3", Container.BARE),
    (0, b"\x00\x00\x00\x01", Container.BARE),
    (0, b"\x00\x00\x01", Container.BARE),
)
PICTURE_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WebP"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
)
AUDIO_SIGNATURES = (
    (0, b"ID3", "MP3"),
    (0, b"\xff\xfb", "MP3"),
    (0, b"\xff\xf3", "MP3"),
    (0, b"\xff\xf2", "MP3"),
    (0, b"fLaC", "FLAC"),
    (8, b"WAVE", "WAV"),
    (8, b"AIFF", "AIFF"),
    (4, b"ftypM4A ", "M4A"),
)
MP4_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx"})
TS_PACKETS = (188, 192, 204)  # bytes: plain, Blu-ray, with error correction
TS_SYNCS = 3  # packets that must begin alike
RE_ENCODE = "Re-encode it, for example as H.264 in MP4"


def sniff(path: Path) -> Container | Unplayable:
    """The container by the file's first bytes.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.is_file():
        what = "is a folder or a device, not a file" if path.exists() else "does not exist"
        return Unplayable(f"{what}. Check the path.")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return Unplayable("is empty (0 bytes): its upload or download did not finish. Provide the file again.")
    for signatures, kind in ((PICTURE_SIGNATURES, "picture"), (AUDIO_SIGNATURES, "audio file")):
        for offset, signature, name in signatures:
            if head.startswith(signature, offset):
                return Unplayable(f"is a {name} {kind}, not a video. Provide the video file.")
    return _container(head) or _unknown(head)


def _container(head: bytes) -> Container | None:
    if head[4:8] in MP4_BOXES:
        return Container.MP4
    for offset, signature, container in VIDEO_SIGNATURES:
        if head.startswith(signature, offset):
            return container
    return Container.MPEG_TS if any(_has_packets(head, size) for size in TS_PACKETS) else None


def _has_packets(head: bytes, size: int) -> bool:
    """Whether packets of this size follow each other, from anywhere on: recordings are cut without regard to them."""
    every = (head[first::size] for first in range(size))
    return any(len(syncs) >= TS_SYNCS and set(syncs) == {0x47} for syncs in every)


def _unknown(head: bytes) -> Unplayable:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return Unplayable("is a web page, not a video: its address may need a login. Provide the video file.")
    if b"\x00" not in head:
        begins = head[:40].decode("utf-8", "replace")
        return Unplayable(f"is text, not a video (it begins with {begins!r}). Provide the video file.")
    return Unplayable(f"is no video of a known kind (it begins with the bytes {head[:8].hex(' ')}). {RE_ENCODE}.")


def why_unreadable(path: Path, container: Container, codec: str) -> str:
    """Why a file of a known kind shows no picture; goes on after the file's name.

    `codec` is the decoder's four-letter name of the picture format, empty when the file could not even be opened.

    Raises:
        OSError: the file cannot be read.
    """
    if container is Container.MP4 and (problem := _mp4_problem(path)):
        return problem
    if codec in {"av01", "AV01"}:
        return f"is coded as AV1, which this OpenCV cannot decode. {RE_ENCODE}."
    if codec:
        return f"holds no readable frame (its pictures are coded as {codec!r}). {RE_ENCODE}."
    return (
        f"holds no video stream that can be decoded: the {container} file is damaged, has audio only, or is coded "
        f"in a way that OpenCV lacks. {RE_ENCODE}."
    )


def _mp4_problem(path: Path) -> str:
    with path.open("rb") as file:
        boxes = dict(islice(_boxes(file), MOST_BOXES))
        if b"moov" not in boxes:
            return "has no index (no moov box): its recording or upload was cut off. Provide the whole file."
        start, size = boxes[b"moov"]
        file.seek(start)
        index = file.read(min(size, MOOV_BYTES))
    # A handler box: "hdlr", 4 bytes of version and flags, 4 reserved, then the track's kind.
    handlers = {index[at + 12 : at + 16] for at in _finds(index, b"hdlr")}
    if b"vide" not in handlers and b"soun" in handlers:
        return "is audio only: it has no video track. Provide the video file."
    return ""


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Kind, start and size in bytes of each box at the top level."""
    end = file.seek(0, 2)
    at = 0
    while at + 8 <= end:
        file.seek(at)
        header = file.read(16)
        size = int.from_bytes(header[:4])
        if size == 1:  # a long box: its size stands in 8 bytes after the kind
            size = int.from_bytes(header[8:16])
        elif size == 0:  # the last box: runs to the end of the file
            size = end - at
        if size < 8:
            return
        yield header[4:8], (at, size)
        at += size


def _finds(haystack: bytes, needle: bytes) -> Iterator[int]:
    at = haystack.find(needle)
    while at >= 0:
        yield at
        at = haystack.find(needle, at + 1)
