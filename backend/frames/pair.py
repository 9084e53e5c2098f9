"""Two video files as the frame source of one judgement."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Self

from backend.frames.capture import Limits, OpenCVCapture, packets
from backend.frames.libav import LibavCapture
from backend.frames.video import Video

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from backend.frames.cache import FrameCache
    from backend.frames.video import Open, Scan
    from backend.reasoning.contract import Contract
    from backend.types import Clip, Frame, FrameRef, VideoNumber

MOST_RESIZERS = 8


class VideoPair:
    """Video 1 and Video 2 on one contract's grid; a `FrameSource` and a context manager, for any number of threads.

    Keeps every frame that was asked for, in the contract's size, and nothing else; no file stays open between calls.
    """

    def __init__(self, videos: tuple[Video, Video]) -> None:
        """Use `open`."""
        self._videos = videos
        self._frames: dict[FrameRef, Frame] = {}
        self._lock = Lock()
        self.seconds = 0.0  # spent decoding so far

    @classmethod
    def open(
        cls,
        video1: Path,
        video2: Path,
        contract: Contract,
        *,
        cache: FrameCache | None = None,
        wanted: Sequence[FrameRef] | None = None,
        limits: Limits | None = None,
        open_capture: Open = OpenCVCapture,
        open_otherwise: Open | None = LibavCapture,
        scan: Scan = packets,
    ) -> Self:
        """Learn both videos' true lengths and decode the `wanted` frames, by default the contract's initial ones.

        `cache` keeps decoded frames for other tasks about the same videos.

        Raises:
            MediaError: a file is missing, no video, beyond the limits, or has no readable frame.
        """

        def video(number: VideoNumber, path: Path) -> Video:
            shelf = cache.shelf(path, contract.image_size) if cache else None
            return Video(
                number,
                path,
                contract,
                limits=limits or Limits(),
                open_capture=open_capture,
                open_otherwise=open_otherwise,
                scan=scan,
                shelf=shelf,
            )

        pair = cls((video(1, video1), video(2, video2)))
        pair._load(contract.initial_frames() if wanted is None else wanted)
        return pair

    @property
    def clips(self) -> tuple[Clip, Clip]:
        """What decoding learnt about Video 1 and Video 2."""
        one, two = self._videos
        return (one.clip, two.clip)

    def frames(self, refs: Sequence[FrameRef]) -> tuple[Frame, ...]:
        """One frame for each reference, in the same order; repeated references give the same `Frame` object.

        Raises:
            MediaError: a file was removed or damaged since it was opened.
        """
        with self._lock:
            if not self._frames.keys() >= set(refs):
                self._load(refs)
            return tuple(self._frames[ref] for ref in refs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.clear()

    def _load(self, refs: Sequence[FrameRef]) -> None:
        """Decode what is not here yet, both videos at the same time."""
        new = [ref for ref in dict.fromkeys(refs) if ref not in self._frames]
        started = time.monotonic()
        with ThreadPoolExecutor(2) as decoders, ThreadPoolExecutor(min(MOST_RESIZERS, os.cpu_count() or 1)) as resizers:
            loading = [
                decoders.submit(video.load, [ref.slot for ref in new if ref.video == number], resizers)
                for number, video in enumerate(self._videos, 1)
            ]
            for job in loading:
                job.result()
        for ref in new:
            self._frames[ref] = self._videos[ref.video - 1].frame(ref.slot)
        self.seconds += time.monotonic() - started
