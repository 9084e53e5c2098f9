"""The model card's own loop, the yardstick of the engine bench: everything is done again on every turn.

As the card has it: each index opens and seeks its video anew, the library's processor prepares all pictures of the
conversation each turn, and `generate` starts from nothing. For well-formed replies and readable videos only.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import torch
from transformers import Qwen2_5_VLProcessor

from backend.bench.frames import card_picture
from backend.reasoning.contract import VRTHINKER_128 as CONTRACT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

    from backend.bench.shape import Parts

ANSWER = re.compile(r"<answer>.*?</answer>", re.IGNORECASE | re.DOTALL)
CALL = re.compile(r"<tool_call>\s*(\{.*\})\s*</tool_call>", re.DOTALL)


class PictureProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]  # the library has no types
    """The library's own processor without its video part, which would need torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: object) -> type | None:
        """Let the video processor be missing."""
        return None if argument_name == "video_processor" else type(argument)


class CardLoop:
    """Holds conversations as the card does; `frame_seconds` is what reading frames took so far."""

    def __init__(self, parts: Parts) -> None:
        """`parts` are used as they are."""
        self._model = parts.model
        self._processor = PictureProcessor(
            parts.image_processor, parts.tokenizer, None, chat_template=parts.tokenizer.chat_template
        )
        self.frame_seconds = 0.0

    def hold(self, videos: tuple[Path, Path], prompt: str, observe: Callable[[], None]) -> list[str]:
        """All replies, up to the answer; `observe` is called after each."""
        slots = CONTRACT.initial_slots()
        images = self._images(videos, [(1, slot) for slot in slots] + [(2, slot) for slot in slots])
        system = {"role": "system", "content": [{"type": "text", "text": CONTRACT.system}]}
        messages = [system, _user(len(images), CONTRACT.question.format(prompt=prompt))]
        replies: list[str] = []
        for _ in range(CONTRACT.max_turns):
            replies.append(self._reply(messages, images))
            observe()
            messages.append({"role": "assistant", "content": [{"type": "text", "text": replies[-1]}]})
            called = CALL.search(replies[-1])
            if ANSWER.search(replies[-1]) or called is None:
                break
            indices = json.loads(called[1])["arguments"]["frame_indices"][: CONTRACT.max_indices]
            images += self._images(videos, [(video, slot) for slot in indices for video in (1, 2)])
            messages.append(_user(2 * len(indices), CONTRACT.tool_response.format(count=len(indices), indices=indices)))
        return replies

    def _images(self, videos: tuple[Path, Path], places: list[tuple[int, int]]) -> list[Image]:
        started = time.perf_counter()
        images = [card_picture(videos[video - 1], slot, CONTRACT) for video, slot in places]
        self.frame_seconds += time.perf_counter() - started
        return [image for image in images if image is not None]

    @torch.inference_mode()
    def _reply(self, messages: list[dict[str, Any]], images: list[Image]) -> str:
        text = self._processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = self._processor(text=[text], images=images, padding=True, return_tensors="pt").to(self._model.device)
        sequences = self._model.generate(**inputs, max_new_tokens=CONTRACT.max_new_tokens, do_sample=False)
        new = sequences[:, inputs["input_ids"].shape[1] :]
        reply: str = self._processor.batch_decode(new, skip_special_tokens=True)[0]
        return reply


def _user(pictures: int, text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image"}] * pictures + [{"type": "text", "text": text}]}
