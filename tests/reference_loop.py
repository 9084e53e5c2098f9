"""The model card's loop, restated plainly: the yardstick that the product's replies are measured against.

Written from the card's description alone. It shares no code with the product: own wording (`tests/wording`), own frame
grid, own regular expressions; it seeks every frame anew with OpenCV, puts the whole conversation through the library's
processor each turn and generates from nothing. Made for well-formed conversations and readable videos only.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import torch
from PIL import Image
from transformers import Qwen2_5_VLProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import Qwen2_5_VLForConditionalGeneration

    from tests.checkpoints import Checkpoint

WORDING = Path(__file__).parent / "wording"
SYSTEM = (WORDING / "system.txt").read_text(encoding="utf-8").removesuffix("\n")
QUESTION = (WORDING / "question.txt").read_text(encoding="utf-8").removesuffix("\n")
TURNS = 6
NEW_TOKENS = 2048
SLOTS = 128
SIDE = 448


class Videos(Protocol):
    """Where the reference gets its pictures from."""

    def image(self, video: int, slot: int) -> Image.Image:
        """The picture of Video 1 or 2 at a slot of the grid."""
        ...


@dataclass(frozen=True, slots=True)
class SoughtVideos:
    """Two files, opened and sought again for every single picture."""

    paths: tuple[Path, Path]

    def image(self, video: int, slot: int) -> Image.Image:
        capture = cv2.VideoCapture(str(self.paths[video - 1]))
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.set(cv2.CAP_PROP_POS_FRAMES, min(math.floor(slot / SLOTS * total), total - 1))
        good, pixels = capture.read()
        capture.release()
        assert good, f"slot {slot} of {self.paths[video - 1].name} cannot be read"
        return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).resize((SIDE, SIDE))


class ProcessorWithoutVideo(Qwen2_5_VLProcessor):  # type: ignore[misc]  # the library has no types
    """The library's own processor, without the video part that would need torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: object) -> type | None:
        """Let the video processor be missing."""
        return None if argument_name == "video_processor" else type(argument)


def processor_of(checkpoint: Checkpoint) -> Qwen2_5_VLProcessor:
    """What `AutoProcessor` gives for a Qwen2.5-VL checkpoint, as far as pictures and text go."""
    tokenizer = checkpoint.tokenizer
    return ProcessorWithoutVideo(checkpoint.image_processor, tokenizer, None, chat_template=tokenizer.chat_template)


def hold_reference_conversation(checkpoint: Checkpoint, videos: Videos, prompt: str) -> list[str]:
    """All replies, up to the answer."""
    processor = processor_of(checkpoint)
    slots = [math.floor(SLOTS * (k + 0.5) / 4) for k in range(4)]
    images = [videos.image(1, slot) for slot in slots] + [videos.image(2, slot) for slot in slots]
    messages = [
        {"role": "system", "content": [{"type": "text", "text": SYSTEM}]},
        _user(len(images), QUESTION.replace("{prompt}", prompt)),
    ]
    replies: list[str] = []
    for _ in range(TURNS):
        replies.append(_next_reply(checkpoint.model, processor, messages, images))
        messages.append({"role": "assistant", "content": [{"type": "text", "text": replies[-1]}]})
        if re.search(r"<answer>.*?</answer>", replies[-1], re.IGNORECASE | re.DOTALL):
            break
        indices = _requested(replies[-1])
        images += [videos.image(video, slot) for slot in indices for video in (1, 2)]
        served = f"Retrieved {len(indices)} frame pairs ({indices}) symmetrically from both videos."
        messages.append(_user(2 * len(indices), f"<tool_response>{served}</tool_response>"))
    return replies


def _user(pictures: int, text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image"}] * pictures + [{"type": "text", "text": text}]}


@torch.inference_mode()
def _next_reply(
    model: Qwen2_5_VLForConditionalGeneration,
    processor: Qwen2_5_VLProcessor,
    messages: Sequence[dict[str, Any]],
    images: Sequence[Image.Image],
) -> str:
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[text], images=list(images), padding=True, return_tensors="pt").to(model.device)
    sequences = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    new = sequences[:, inputs["input_ids"].shape[1] :]
    reply: str = processor.batch_decode(new, skip_special_tokens=True)[0]
    return reply


def _requested(reply: str) -> list[int]:
    call = re.search(r"<tool_call>\s*(\{.*\})\s*</tool_call>", reply, re.DOTALL)
    assert call, f"not a well-formed reply: {reply!r}"
    indices: list[int] = json.loads(call.group(1))["arguments"]["frame_indices"]
    assert 0 < len(indices) <= 12
    assert all(0 <= index < SLOTS for index in indices)
    return indices
