"""Real judgements without a model: the real rollout over scripted replies and frames that carry no pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from backend.reasoning.contract import VRTHINKER_128, Contract, grid_index
from backend.reasoning.judge import judge
from backend.reasoning.reply import parse_reply
from backend.types import Answer, Clip, Completion, DigitOdds, Dimension, Frame
from tests.fakes import ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend.types import FrameRef, Judgement

CLIPS = (Clip(1, 96, 24.0, 640, 368), Clip(2, 96, 24.0, 640, 368))
PIXEL = Image.new("RGB", (1, 1))

ASK = """\
<Snapshot>Both videos show a paper plane over pink clouds.</Snapshot>
<Think>Video 1 seems to stand still in the middle. I need the frames between 48 and 80 to be sure.</Think>
<tool_call>{"name": "select_frames", "arguments": {"frame_indices": [52, 60, 68]}}</tool_call>"""
DECIDE = """\
<Snapshot>At 52, 60 and 68 the plane of Video 1 has not moved; in Video 2 it is a little further each time.</Snapshot>
<Think>Text Alignment (TA): both show a white paper plane and pink clouds, but only Video 2 completes the loop.
Visual Quality (VQ): equally clean edges and colours in both.
Motion Quality (MQ): Video 1 freezes between frames 52 and 68 and then jumps; Video 2 moves evenly.
Taken together the frozen motion decides it.</Think>
<Answer>TA=2, VQ=0, MQ=2, OA=2</Answer>"""
ODDS = {
    Dimension.TA: (0.12, 0.17, 0.71),
    Dimension.VQ: (0.58, 0.2, 0.22),
    Dimension.MQ: (0.01, 0.02, 0.97),
    Dimension.OA: (0.03, 0.04, 0.93),
}


class GridFrames:
    """A fake frame source: the frames that the grid asks for, one pixel each, none unreadable."""

    def __init__(self, clips: Sequence[Clip], contract: Contract) -> None:
        self.clips = clips
        self._contract = contract

    def frames(self, refs: Sequence[FrameRef]) -> list[Frame]:
        """One frame for each reference, at the time that a constant frame rate gives it."""
        return [self._frame(ref) for ref in refs]

    def _frame(self, ref: FrameRef) -> Frame:
        clip = self.clips[ref.video - 1]
        index = grid_index(ref.slot, clip.frames, self._contract.slots)
        return Frame(ref, index=index, wanted=index, seconds=index / clip.fps, image=PIXEL)


def judged(
    *replies: str,
    odds: Mapping[Dimension, tuple[float, float, float]] | None = None,
    clips: Sequence[Clip] = CLIPS,
    contract: Contract = VRTHINKER_128,
    prompt: str = "A white paper plane loops through pink clouds.",
) -> Judgement:
    """What comes of these replies; `odds` are those of the answer's digits."""
    spoken = [_with_odds(reply, odds or {}, contract) for reply in replies or (ASK, DECIDE)]
    return judge(
        ScriptedEngine(spoken), GridFrames(clips, contract), contract, prompt, model_version="tiny-1.vrthinker-128v1"
    )


def _with_odds(reply: str, odds: Mapping[Dimension, tuple[float, float, float]], contract: Contract) -> Completion:
    answer = parse_reply(reply, contract)
    offsets = answer.offsets if isinstance(answer, Answer) else {}
    digits = tuple(DigitOdds(offsets[d], odds[d], mass=0.99) for d in offsets if d in odds)
    return Completion(reply, prompt_tokens=900, completion_tokens=len(reply.split()), digits=digits)
