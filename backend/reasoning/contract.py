"""One checkpoint's wording, frame grid and limits, as data.

The strings are what the checkpoints were trained with: every character counts, and any change is a new `version`.
Sources: the model card of `qunwang13/vrthinker` (128 slots); appendix D of arXiv 2510.10518 and its public training
code `qunzhongwang/VideoSearch-Reasoner` (96 frames). docs/contract.md compares the two.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from math import floor
from typing import Literal

from backend.errors import SettingsError
from backend.types import FrameRef

VRTHINKER_SYSTEM = """\
Task Description:
Your task is to compare two videos generated based on the same text prompt by analyzing their frames in detail and provide an overall judgment along with a judgment for each evaluation dimension.
The provided frames are downsampled from these videos:
- Video 1: First four input frames.
- Video 2: Next four input frames.
Evaluation Dimensions:
1. Text Alignment (TA): How faithfully each video reflects the text prompt.
2. Visual Quality (VQ): Aesthetics, artifacts, blurriness, distortion, color, resolution, flickering.
3. Motion Quality (MQ): Smoothness, jitter, unnatural motion, temporal consistency.
4. Overall Assessment (OA): Holistic judgment across the above.
Frames and Analysis Rules:
- 8 sampled frames are provided initially (4 per video), evenly downsampled from 128 frames per video. The first 4 are Video 1, the next 4 are Video 2.
- Each video has 128 frames (indices 0-127). To inspect more frames, call select_frames with the indices you need; the tool retrieves the same indices from both videos symmetrically.
- Tool returns are paired: for [i, j, k] you get (v1[i], v2[i], v1[j], v2[j], v1[k], v2[k]). Use this pairing to compare the same moment across both videos.
- Each tool call accepts at most 12 indices.
Format Requirement:
1. <Snapshot></Snapshot> — summarize useful visual details after receiving frames.
2. <Think></Think> — reasoning.
3. <Answer></Answer> — final judgment.
Label semantics: 1 = Video 1 better, 2 = Video 2 better, 0 = tie.
Examples:
<Answer>TA=1, VQ=1, MQ=0, OA=1</Answer>
Tool call format:
When you want to inspect more frames, emit a tool call inside <tool_call></tool_call> tags:
<tool_call>{"name": "select_frames", "arguments": {"frame_indices": [10, 30, 60, 90]}}</tool_call>"""

VRTHINKER_QUESTION = """\
Compare the two videos generated from the following prompt and evaluate them across Text Alignment (TA), Motion Quality (MQ), Visual Quality (VQ), and Overall Assessment (OA).

Prompt: {prompt}

The first 4 images are uniformly sampled from Video 1, and the next 4 are from Video 2. Each video has 128 frames (indices 0-127). Use the select_frames tool to request additional frames if needed."""

VRTHINKER_TOOL_RESPONSE = (
    "<tool_response>Retrieved {count} frame pairs ({indices}) symmetrically from both videos.</tool_response>"
)

VR_THINKER_96_SYSTEM = """\
You are a helpful assistant.

# Tools
You may call one or more functions to assist with the user query.
You are provided with function signatures within <tools></tools> XML tags:
<tools>
{"type": "function", "function": {"name": "select_frames", "description": "Select frames from a video.", "parameters": {"type": "object", "properties": {"target_frames": {"type": "array", "description": "List of frame indices to select from the video.", "items": {"type": "integer", "description": "Frame index from 1 to N. N will be specified in the following"}}}, "required": ["target_frames"]}}}
</tools>
For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""

VR_THINKER_96_QUESTION = """\
Task Description:
Your task is to compare two videos generated based on the same prompt by analyzing their frames in detail and provide an overall judgment along with a judgment for each dimension. This involves:
- Iterative reasoning,
- Zooming in on details,
- Dynamically selecting frames for further analysis.

The provided frames are downsampled from these videos:
- Video 1: First four input frames.
- Video 2: Next four input frames.

The prompt is: {prompt}

Evaluation Dimensions:
1. Text Alignment(TA):
Alignment between video content and prompt
2. Visual Quality(VQ):
The visual aesthetics of the video
3. Motion Quality(MQ):
Level of motion coherence

Frames and Analysis Rules
- 8 sampled frames are provided, evenly downsampled from 96 frames
- Insufficient frames? Request more:
<tool_call>{{"target_frames": []}}</tool_call>

Format Requirement:
1. Snapshot:
Every time you receive new visual information, summarize any information that might be useful for your final judgment within <Snapshot></Snapshot> tags.
2. Think:
Place all reasoning content within <Think></Think> tags.
3. Answer:
If the final answer can be determined, output the answer within <Answer></Answer> tags. If the answer is still uncertain, output the recommended answer and confidence level within <Recommend Answer></Recommend Answer> tags.
Here, 1 represents Video 1, 2 represents Video 2, and 0 represents Tie. The confidence levels range from high to low as 1, 2, and 3.

Examples:
<Answer>TA=1, VQ=1, MQ=0, OA=1</Answer>, or
<Recommend Answer>TA=0, VQ=1, MQ=0, OA=1, CF=2</Recommend Answer>"""

VR_THINKER_96_TOOL_RESPONSE = "\nAfter selecting frames: Here are the selected frames"

# Our own wording, for turns that the published loops do not have.
ANSWER_NOW = (
    "You have used all your turns. Do not request more frames. "
    "Give your final judgment now in the form <Answer>TA=?, VQ=?, MQ=?, OA=?</Answer>, each 0, 1 or 2."
)


@dataclass(frozen=True, slots=True)
class Contract:
    """How one checkpoint is asked.

    `slots` per video make the frame grid; the model's indices start at `first_index`. With `addressing` "pairs" one
    index means that slot of both videos; with "global" indices run through Video 1's slots, then Video 2's.
    `memory_window` is how many rounds of requested frames stay in the context besides the initial ones (None: all).
    `initial_phase` places the initial slots within their quarters: 0.5 in the middle, 0 at the start. `caption_first`
    puts the tool response's text before its pictures. `bare_call` also takes a tool call that holds only arguments.
    """

    name: str
    version: int
    system: str
    question: str
    tool_response: str
    argument: str
    addressing: Literal["pairs", "global"]
    slots: int
    first_index: int
    max_indices: int
    initial_per_video: int = 4
    initial_phase: float = 0.5
    max_turns: int = 6
    max_new_tokens: int = 2048
    image_size: tuple[int, int] = (448, 448)
    answer_now: str = ANSWER_NOW
    memory_window: int | None = None
    caption_first: bool = False
    bare_call: bool = False

    @property
    def digest(self) -> str:
        """Eight hex digits over every field: two contracts that differ anywhere differ here."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()[:8]

    @property
    def last_index(self) -> int:
        """The largest index the model may ask for."""
        videos = 1 if self.addressing == "pairs" else 2
        return self.first_index + videos * self.slots - 1

    def initial_slots(self) -> tuple[int, ...]:
        """The slots shown before the first turn, the same in both videos."""
        count = self.initial_per_video
        return tuple(floor(self.slots * (k + self.initial_phase) / count) for k in range(count))

    def initial_frames(self) -> tuple[FrameRef, ...]:
        """Video 1's initial frames, then Video 2's."""
        slots = self.initial_slots()
        return tuple(FrameRef(1, slot) for slot in slots) + tuple(FrameRef(2, slot) for slot in slots)

    def frames_for(self, indices: tuple[int, ...]) -> tuple[FrameRef, ...]:
        """The frames that answer a request, in the order in which the model sees them."""
        slots = [index - self.first_index for index in indices]
        if self.addressing == "pairs":
            return tuple(ref for slot in slots for ref in (FrameRef(1, slot), FrameRef(2, slot)))
        return tuple(FrameRef(1, s) if s < self.slots else FrameRef(2, s - self.slots) for s in slots)


def grid_index(slot: int, total: int, slots: int) -> int:
    """The 0-based frame of a video with `total` frames that stands at `slot` of a grid of `slots`."""
    return min(floor(slot / slots * total), total - 1)


VRTHINKER_128 = Contract(
    name="vrthinker-128",
    version=1,
    system=VRTHINKER_SYSTEM,
    question=VRTHINKER_QUESTION,
    tool_response=VRTHINKER_TOOL_RESPONSE,
    argument="frame_indices",
    addressing="pairs",
    slots=128,
    first_index=0,
    max_indices=12,
)

VR_THINKER_96 = Contract(
    name="vr-thinker-96",
    version=1,
    system=VR_THINKER_96_SYSTEM,
    question=VR_THINKER_96_QUESTION,
    tool_response=VR_THINKER_96_TOOL_RESPONSE,
    argument="target_frames",
    addressing="global",
    slots=48,
    first_index=1,
    max_indices=8,
    initial_phase=0.0,
    memory_window=1,
    caption_first=True,
    bare_call=True,
)

CONTRACTS = {contract.name: contract for contract in (VRTHINKER_128, VR_THINKER_96)}


def contract_named(name: str) -> Contract:
    """The contract of that name.

    Raises:
        SettingsError: no contract has that name.
    """
    try:
        return CONTRACTS[name]
    except KeyError:
        known = ", ".join(sorted(CONTRACTS))
        raise SettingsError(f"CONTRACT is {name!r}, which no checkpoint here has. Use one of: {known}.") from None
