"""Frozen values that cross the seams between rooms; dicts exist only at the JSON edge (`wire`).

Videos are numbered 1 and 2 as in the model's own wording. A *slot* is a 0-based place in the contract's frame grid
(0..127 for the 128-slot contract); an *index* is a 0-based frame of the decoded file. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image


class Dimension(StrEnum):
    """What two videos are compared on; the order is the card's output order."""

    TA = "TA"
    MQ = "MQ"
    VQ = "VQ"
    OA = "OA"


class Preference(IntEnum):
    """Which video is better; the numbers are the model's own answer digits."""

    TIE = 0
    VIDEO_1 = 1
    VIDEO_2 = 2


class StopCondition(StrEnum):
    """Why a rollout ended."""

    ANSWERED = "answered"
    TURN_LIMIT = "turn_limit"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"


Labels: TypeAlias = "Mapping[Dimension, Preference]"
VideoNumber: TypeAlias = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class PairwiseTask:
    """One Label Studio task: two video references and the prompt both were made from.

    `player_fps` is the rate at which Label Studio's players number the frames of Video 1 and 2 (24 unless the labeling
    config says otherwise), whatever the rates of the files are.
    """

    project: int
    task: int
    video1: str
    video2: str
    prompt: str
    player_fps: tuple[float, float] = (24.0, 24.0)


@dataclass(frozen=True, slots=True, order=True)
class FrameRef:
    """A place in the frame grid of one video."""

    video: VideoNumber
    slot: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Frame:
    """One decoded picture for a grid slot.

    `image` is RGB in the contract's size. `index` is the frame shown; `wanted` the frame the grid asked for: they
    differ only where that frame was unreadable and its nearest readable neighbour stands in. `seconds` is the
    presentation time of `index`. Compared by identity, so that engines may keep features per frame.
    """

    ref: FrameRef
    index: int
    wanted: int
    seconds: float
    image: Image

    @property
    def substituted(self) -> bool:
        """Whether another frame stands in for an unreadable one."""
        return self.index != self.wanted


@dataclass(frozen=True, slots=True)
class Clip:
    """What decoding learnt about one video file: true frame count, frames per second, pixel size.

    `fps` is 0 where the file tells none, as some of a single frame do. `sha256` is that of the file's bytes, in hex;
    empty where it is not known.
    """

    video: VideoNumber
    frames: int
    fps: float
    width: int
    height: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete, unambiguous answer; `offsets` are the places of the digits in the reply's text, in characters."""

    labels: Labels
    offsets: Mapping[Dimension, int]


@dataclass(frozen=True, slots=True)
class SelectFrames:
    """A well-formed request for frames; `indices` are the model's own numbers that will be served, in order.

    `note` is empty for a request served as asked, else says what was left out and why, for the model to read.
    """

    indices: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A reply that is neither; `problem` says what is wrong in words the model can act on."""

    problem: str


Reply: TypeAlias = "Answer | SelectFrames | Malformed"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of message text."""

    text: str


Part: TypeAlias = "Text | Frame"


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message: pictures and text in the order the model sees them."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


Conversation: TypeAlias = "tuple[Message, ...]"


@dataclass(frozen=True, slots=True)
class DigitOdds:
    """The model's odds for one generated answer digit.

    `offset` is the digit's place in the reply's text (characters). `odds` are the probabilities of the tokens 0, 1, 2
    renormalised over the three; `mass` is what the three had together before that (low mass: the odds mean little).
    """

    offset: int
    odds: tuple[float, float, float]
    mass: float


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine generated for one conversation.

    `truncated` says that the token limit ended it. `cached_tokens` of `prompt_tokens` were not computed again.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    truncated: bool = False
    cached_tokens: int = 0
    seconds: float = 0.0
    digits: tuple[DigitOdds, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply and what came of it: `outcome` is its kind, `served` the model's own indices that were served."""

    reply: str
    outcome: Literal["answer", "select_frames", "malformed"]
    note: str
    served: tuple[int, ...]
    forced: bool
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one dimension.

    `odds` (tie, Video 1, Video 2) and `mass` are as in `DigitOdds`, None where the engine gives no probabilities.
    `rationale` is what the model itself wrote about this dimension, empty where it wrote nothing specific.
    `order_dependent` is None unless the pair was judged again with the videos exchanged.
    """

    preference: Preference
    odds: tuple[float, float, float] | None = None
    mass: float | None = None
    rationale: str = ""
    order_dependent: bool | None = None

    @property
    def confidence(self) -> float | None:
        """Probability of the chosen preference; None without odds."""
        return None if self.odds is None else self.odds[self.preference]


@dataclass(frozen=True, slots=True)
class InspectedFrame:
    """A frame the model looked at, without its pixels: the evidence shown to people."""

    ref: FrameRef
    index: int
    wanted: int
    seconds: float
    turn: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of one rollout; `verdicts` is empty when `stop` is not `answered`.

    `swapped` is the judgement of the same pair with the videos exchanged, where one was asked for, in its own
    numbering: its Video 1 is this one's Video 2. `memory_window` is how many rounds of requested frames the model had
    before it at a time, besides the initial ones; None: all.
    """

    model_version: str
    verdicts: Mapping[Dimension, Verdict]
    reasoning: str
    stop: StopCondition
    forced: bool
    turns: tuple[Turn, ...]
    frames: tuple[InspectedFrame, ...]
    clips: tuple[Clip, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    swapped: Judgement | None = None
    memory_window: int | None = None

    @property
    def labels(self) -> Labels:
        """The preference per dimension; empty when there is no answer."""
        return {dimension: verdict.preference for dimension, verdict in self.verdicts.items()}
