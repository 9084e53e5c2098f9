"""What the small checkpoint is to say: conversations about pairs of scenes, held through the product's own rollout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.rollout import begin, step, supply
from backend.training.tiny.scene import COLORS, LOOKS, MOTIONS, SHAPES, Scene
from backend.types import Completion, Dimension, Frame, FrameRef, Message, Preference, Text

if TYPE_CHECKING:
    from backend.types import Conversation

CONTRACT = VRTHINKER_128
NAMES = {
    Dimension.TA: "Text Alignment (TA)",
    Dimension.MQ: "Motion Quality (MQ)",
    Dimension.VQ: "Visual Quality (VQ)",
    Dimension.OA: "Overall (OA)",
}
SYLLABLE = ("bcdfghjklmnprstvwyz", "aeiou", "bdklmnrstxlnrs")
PICTURES_NAMED = 12
PAIRS_ARGUED = 3
# Which moments to look at, by what the two videos look like: different pairs lead to different requests.
REQUESTS = (
    (8, 40, 72, 104), (24, 64), (4, 60, 120), (32,), (12, 100), (16, 56, 96), (63, 64), (20, 44, 68, 92),
    (0, 127), (30, 90), (5, 65, 125), (50,), (36, 76, 116), (10, 70), (2, 42, 82, 122), (28, 84),
)  # fmt: skip
SECOND_REQUESTS = {"clear": (1, 33, 94), "noisy": (22, 106), "blurry": (58,), "dark": (14, 46, 78, 110)}
WORDS = (
    "a", "the", "one", "two", "small", "big", "old", "new", "bright", "quiet", "busy", "city", "street", "forest",
    "river", "cat", "dog", "bird", "horse", "car", "train", "robot", "child", "woman", "man", "dancer", "runner",
    "boat", "plane", "mountain", "beach", "kitchen", "garden", "night", "morning", "rain", "snow", "fire", "water",
    "light", "camera", "slow", "fast", "pan", "zoom", "close", "shot", "wide", "view", "flying", "running",
    "walking", "jumping", "spinning", "falling", "rising", "cinematic", "realistic", "anime",
)  # fmt: skip
FOREIGN = (
    "日落时的海边",
    "собака бежит",
    "un café à Paris",
    "🎬🎥",
    "naïve façade",
    "نص عربي",
    "x = {y: [1, 2]}",
    "<b>bold</b>",
)


class Look(Protocol):
    """Draws a scene at a moment (0..1)."""

    def __call__(self, scene: Scene, moment: float, /) -> Image.Image:
        """The picture."""
        ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Two scenes and the prompt that both are said to show; `color` is the one that the prompt names, if any."""

    first: Scene
    second: Scene
    prompt: str
    color: str | None


def draw_pair(rng: np.random.Generator) -> Pair:
    """A random pair; every defect falls on either video equally often."""
    named = rng.random() < 0.7
    color = str(rng.choice(list(COLORS))) if named else None
    shape = str(rng.choice(SHAPES))
    first, second = (_scene(rng, color, shape) for _ in range(2))
    if rng.random() < 0.15:
        first = Scene(first.color, second.look, second.motion, shape, first.seed)
    return Pair(first, second, _prompt(rng, color, shape), color)


def _scene(rng: np.random.Generator, color: str | None, shape: str) -> Scene:
    shown = color if color and rng.random() < 0.6 else str(rng.choice(list(COLORS)))
    look = "clear" if rng.random() < 0.4 else str(rng.choice(LOOKS[1:]))
    return Scene(shown, look, str(rng.choice(MOTIONS)), shape, int(rng.integers(1 << 40)))


def _prompt(rng: np.random.Generator, color: str | None, shape: str) -> str:
    if color is None:
        return _phrase(rng, int(rng.integers(1, 60)))
    forms = (
        f"A {shape} moves across a {color} background.",
        f"a {shape} in front of a {color} wall",
        f"{_phrase(rng, 2)} {shape}, {color} floor, {_phrase(rng, 3)}",
        f"{color} background, moving {shape}",
        f"{_phrase(rng, int(rng.integers(1, 12)))} {color} {_phrase(rng, int(rng.integers(1, 12)))}",
    )
    return str(rng.choice(forms))


def _phrase(rng: np.random.Generator, words: int) -> str:
    """Known words, words nobody knows and foreign ones: people's prompts hold all sorts."""
    invented = float(rng.choice((0.0, 0.3, 0.8)))
    said = [_invented_word(rng) if rng.random() < invented else str(rng.choice(WORDS)) for _ in range(words)]
    if rng.random() < 0.2:
        said.insert(int(rng.integers(words + 1)), str(rng.choice(FOREIGN)))
    text = " ".join(said)
    return f"{text.capitalize()}." if rng.random() < 0.5 else text


def _invented_word(rng: np.random.Generator) -> str:
    syllables = (
        "".join(str(rng.choice(list(letters))) for letters in SYLLABLE) for _ in range(int(rng.integers(1, 4)))
    )
    return "".join(syllables) + str(rng.choice(("", "", "s", "ed", "ing", ",", "-")))


def name_pictures(rng: np.random.Generator, look: Look) -> Conversation:
    """The first lesson: single pictures, each named."""
    said: list[Message] = []
    for _ in range(PICTURES_NAMED):
        scene = _scene(rng, None, str(rng.choice(SHAPES)))
        moment = float(rng.random())
        said.append(Message("user", (Frame(FrameRef(1, 0), 0, 0, moment, look(scene, moment)),)))
        said.append(Message("assistant", (Text(f"It is {_seen(scene)}."),)))
    return tuple(said)


def compare_at_once(rng: np.random.Generator, look: Look) -> Conversation:
    """The second lesson: the opening of a conversation without its long instruction."""
    _instruction, question, reply = converse(draw_pair(rng), look, turns=1)
    return question, reply


def argue_in_words(rng: np.random.Generator, _look: Look) -> Conversation:
    """The third lesson: conversations without their pictures, for how the words follow from each other."""
    blank = Image.new("RGB", (1, 1))
    held = [converse(draw_pair(rng), lambda _scene, _moment: blank) for _ in range(PAIRS_ARGUED)]
    return tuple(
        replace(message, parts=tuple(part for part in message.parts if isinstance(part, Text)))
        for conversation in held
        for message in conversation[1:]
    )


def hold_conversation(rng: np.random.Generator, look: Look) -> Conversation:
    """The last lesson: a whole conversation about a random pair, to its answer."""
    return converse(draw_pair(rng), look)


def converse(pair: Pair, look: Look, turns: int | None = None) -> Conversation:
    """The conversation about this pair, through the product's own rollout; without `turns` to its answer."""

    def frame(ref: FrameRef) -> Frame:
        scene = pair.first if ref.video == 1 else pair.second
        return Frame(ref, ref.slot, ref.slot, 0.0, look(scene, ref.slot / CONTRACT.slots))

    rollout = begin(CONTRACT, pair.prompt)
    for reply in replies(pair)[:turns]:
        rollout = supply(rollout, [frame(ref) for ref in rollout.wanted])
        rollout = step(rollout, Completion(reply, prompt_tokens=0, completion_tokens=0))
    return rollout.conversation


def replies(pair: Pair) -> list[str]:
    """What is to be said about a pair, turn by turn: one or two requests, then the answer."""
    first, second = pair.first, pair.second
    requests: list[tuple[int, ...]] = [REQUESTS[LOOKS.index(first.look) * len(LOOKS) + LOOKS.index(second.look)]]
    if first.look == second.look:
        requests.append(SECOND_REQUESTS[first.look])
    reasons = ("I want to see more moments of both videos.", "They look alike so far, so I look once more.")
    snapshots = (f"Video 1 is {_seen(first)}. Video 2 is {_seen(second)}.", "The same in these frames.")
    said = [
        f"<Snapshot>{snapshots[turn > 0]}</Snapshot><Think>{reasons[turn]}</Think>{_call(indices)}"
        for turn, indices in enumerate(requests)
    ]
    return [*said, f"<Snapshot>{snapshots[1]}</Snapshot>{_judgement(pair)}"]


def _seen(scene: Scene) -> str:
    return f"{scene.color}, {scene.look} and {scene.motion}"


def _call(indices: tuple[int, ...]) -> str:
    arguments = f'{{"{CONTRACT.argument}": {list(indices)}}}'
    return f'<tool_call>{{"name": "select_frames", "arguments": {arguments}}}</tool_call>'


def conclusions(pair: Pair) -> dict[Dimension, tuple[Preference, str]]:
    """The true label of each dimension and how it is put in words."""
    alignment = _alignment(pair)
    motion = _better(pair.first.motion, pair.second.motion, good="steady")
    visual = _better(pair.first.look, pair.second.look, good="clear")
    overall = _majority([alignment[0], motion[0], visual[0]])
    words = f"Video {overall} is better." if overall else "Neither video is better."
    return {Dimension.TA: alignment, Dimension.MQ: motion, Dimension.VQ: visual, Dimension.OA: (overall, words)}


def _judgement(pair: Pair) -> str:
    concluded = conclusions(pair)
    thoughts = "\n".join(f"{NAMES[dimension]}: {words}" for dimension, (_, words) in concluded.items())
    ta, mq, vq, oa = (concluded[dimension][0] for dimension in Dimension)
    return f"<Think>{thoughts}</Think><Answer>TA={ta}, VQ={vq}, MQ={mq}, OA={oa}</Answer>"


def _alignment(pair: Pair) -> tuple[Preference, str]:
    if pair.color is None:
        return Preference.TIE, "The prompt names no color that I know."
    matches = (pair.first.color == pair.color, pair.second.color == pair.color)
    wanted = f"the {pair.color} of the prompt."
    if all(matches):
        return Preference.TIE, f"Both videos show {wanted}"
    if not any(matches):
        return Preference.TIE, f"Neither video shows {wanted}"
    better = Preference.VIDEO_1 if matches[0] else Preference.VIDEO_2
    return better, f"Only Video {better} shows {wanted}"


def _better(first: str, second: str, good: str) -> tuple[Preference, str]:
    if (first == good) == (second == good):
        return Preference.TIE, f"Video 1 is {first}, Video 2 is {second}: no difference."
    better = Preference.VIDEO_1 if first == good else Preference.VIDEO_2
    return better, f"Video 1 is {first}, Video 2 is {second}: Video {better} is better."


def _majority(parts: list[Preference]) -> Preference:
    """The video that wins more dimensions; a tie when neither does."""
    lead = parts.count(Preference.VIDEO_1) - parts.count(Preference.VIDEO_2)
    if lead == 0:
        return Preference.TIE
    return Preference.VIDEO_1 if lead > 0 else Preference.VIDEO_2
