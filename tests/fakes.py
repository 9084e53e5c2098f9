"""Test doubles that several rooms share. Each is named as a fake and fails loudly when it is misused."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from PIL import Image

from backend.errors import MediaError
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import Clip, Completion, Frame, FrameRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from backend.reasoning.contract import Contract
    from backend.types import Conversation, VideoNumber

SIDE = 28  # pixels: one token's patch of a Qwen2.5-VL image processor


class FakeFrameSource:
    """Two made-up videos on a contract's grid; a `FrameSource`.

    The picture of a slot is of one colour, (video, slot, 0), so that a test can tell what it looks at. Video 1 has
    `frames[0]` frames at 24 per second, Video 2 `frames[1]`. A slot in `unreadable` shows the frame before the one
    wanted, or after it at the start. `broken` names a video without a readable frame. `asked` keeps every request.
    """

    def __init__(
        self,
        contract: Contract = VRTHINKER_128,
        *,
        frames: tuple[int, int] = (240, 120),
        unreadable: Collection[FrameRef] = (),
        broken: VideoNumber | None = None,
    ) -> None:
        self.asked: list[tuple[FrameRef, ...]] = []
        self.clips = (Clip(1, frames[0], 24.0, SIDE, SIDE), Clip(2, frames[1], 24.0, SIDE, SIDE))
        self._slots = contract.slots
        self._unreadable = unreadable
        self._broken = broken
        self._shown: dict[FrameRef, Frame] = {}

    def frames(self, refs: Sequence[FrameRef]) -> Sequence[Frame]:
        """One frame for each reference, the same object for a repeated one.

        Raises:
            AssertionError: nothing is asked for, or a place outside the grid.
            MediaError: the video is the broken one.
        """
        self.asked.append(tuple(refs))
        assert refs, "asked for no frames at all"
        return [self._frame(ref) for ref in refs]

    def _frame(self, ref: FrameRef) -> Frame:
        assert ref.video in {1, 2}, f"there is no Video {ref.video}"
        assert 0 <= ref.slot < self._slots, f"slot {ref.slot} is outside the grid of {self._slots}"
        if ref.video == self._broken:
            raise MediaError(f"Video {ref.video} has no readable frame.")
        if ref not in self._shown:
            wanted = grid_index(ref.slot, self.clips[ref.video - 1].frames, self._slots)
            index = (wanted - 1 if wanted else 1) if ref in self._unreadable else wanted
            picture = Image.new("RGB", (SIDE, SIDE), (ref.video, ref.slot, 0))
            self._shown[ref] = Frame(ref, index, wanted, index / 24.0, picture)
        return self._shown[ref]


class ScriptedEngine:
    """Gives the replies it was handed, in order; `seen` keeps every conversation it was asked to continue."""

    def __init__(self, replies: Iterable[str | Completion]) -> None:
        """`replies` are given out once each, in this order."""
        self._replies = deque(replies)
        self.seen: list[Conversation] = []

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The next reply of the script; token counts are its words.

        Raises:
            AssertionError: the script is used up.
        """
        self.seen.append(conversation)
        if not self._replies:
            raise AssertionError(f"the script is used up after {len(self.seen) - 1} replies")
        reply = self._replies.popleft()
        if isinstance(reply, Completion):
            return reply
        return Completion(reply, prompt_tokens=0, completion_tokens=min(len(reply.split()), max_new_tokens))
