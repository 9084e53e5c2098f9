"""The pictures that the model was shown, as files: decoded again from the very videos, or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

from backend.errors import MediaError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from backend.export.folder import Draft
    from backend.export.record import Record
    from backend.jobs.judging import Fetcher, OpenedPair
    from backend.reasoning.contract import Contract
    from backend.types import Clip, Frame, FrameRef, Judgement

FOLDER = "frames"
DIGITS = 16  # of a video's sha256, in the name of its folder


class OpenPair(Protocol):
    """Opens two files on a contract's grid with these frames decoded, as `VideoPair.open` does."""

    def __call__(
        self, video1: Path, video2: Path, contract: Contract, *, wanted: Sequence[FrameRef] | None = None
    ) -> OpenedPair:
        """The opened pair."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """The files of a judgement's pictures and what its videos are; `problem` says why there are none."""

    files: Mapping[FrameRef, str] = field(default_factory=dict)
    clips: tuple[Clip, ...] = ()
    problem: str = ""


class Pictures:
    """Writes each picture of each video once, as PNG without loss. Keeps one task's, for its other annotators."""

    def __init__(self, draft: Draft, fetcher: Fetcher, open_pair: OpenPair) -> None:
        self._draft = draft
        self._fetcher = fetcher
        self._open_pair = open_pair
        self._last: tuple[object, Shown] = (None, Shown())

    def shown(self, record: Record, contract: Contract) -> Shown:
        """The pictures of a record's judgement.

        Raises:
            LabelStudioError: the token is not accepted: no other video would be had either.
            OSError: the disk is full.
        """
        place = (record.task, record.model_version)
        if self._last[0] != place:
            try:
                self._last = (place, self._written(record, contract))
            except MediaError as error:
                self._last = (place, Shown(problem=f"no pictures: {error}"))
        return self._last[1]

    def _written(self, record: Record, contract: Contract) -> Shown:
        refs = list(dict.fromkeys(frame.ref for frame in record.judgement.frames))
        with ExitStack() as opened:
            paths = [
                opened.enter_context(self._fetcher.fetch(video, record.task))
                for video in (record.video1, record.video2)
            ]
            pair = opened.enter_context(self._open_pair(paths[0], paths[1], contract, wanted=refs))
            frames = pair.frames(refs)
            clips = tuple(pair.clips)
        if problem := _changed(record.judgement, clips, frames):
            return Shown(problem=problem)
        return Shown({frame.ref: self._file(frame, clips[frame.ref.video - 1]) for frame in frames}, clips)

    def _file(self, frame: Frame, clip: Clip) -> str:
        name = f"{FOLDER}/{clip.sha256[:DIGITS]}/{frame.index:06d}.png"
        if not self._draft.begun(name):
            content = BytesIO()
            frame.image.save(content, "PNG")
            self._draft.put(name, content.getvalue())
        return name


def _changed(judgement: Judgement, clips: Sequence[Clip], frames: Sequence[Frame]) -> str:
    """In what way the videos are not those that were judged; empty where they are."""
    for judged, now in zip(judgement.clips, clips, strict=False):
        same = judged.sha256 == now.sha256 if judged.sha256 else _facts(judged) == _facts(now)
        if not same or not now.sha256:
            return f"no pictures: Video {now.video} was changed after it was judged"
    then = {seen.ref: seen.index for seen in judgement.frames}
    moved = next((frame for frame in frames if then[frame.ref] != frame.index), None)
    if moved is not None:
        return (
            f"no pictures: slot {moved.ref.slot} of Video {moved.ref.video} decodes to another frame than when judged"
        )
    return ""


def _facts(clip: Clip) -> tuple[int, int, int]:
    return clip.frames, clip.width, clip.height


def open_pairs() -> OpenPair:
    """Opens real files; decoding needs OpenCV, which the web process does without.

    Raises:
        SettingsError: OpenCV is not installed.
    """
    try:
        from backend.frames import VideoPair
    except ImportError:
        raise SettingsError("--frames needs OpenCV: pip install 'vrthinker[frames]'.") from None
    return VideoPair.open
