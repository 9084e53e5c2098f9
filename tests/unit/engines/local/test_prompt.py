"""Prompts equal what the library's own processor and model make of the same conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from backend.engines.local.prompt import Prompter, frames_of
from backend.engines.local.vision import Gallery
from backend.errors import EngineError
from backend.types import Frame, Message, Text
from tests.reference_loop import processor_of
from tests.unit.engines.local.pictures import noise

if TYPE_CHECKING:
    from tests.checkpoints import Checkpoint

SYSTEM = Message("system", (Text("Judge — fairly."),))
CONVERSATIONS = {
    "words only": (SYSTEM, Message("user", (Text("hello"),))),
    "one picture": (SYSTEM, Message("user", (noise(1), Text("what?")))),
    "sizes differ": (Message("user", (noise(1), noise(2, (112, 84)), Text("日本 \n\n "), noise(3, (61, 200)))),),
    "several rounds": (
        SYSTEM,
        Message("user", (noise(1), noise(2), Text("first"))),
        Message("assistant", (Text("<tool_call>{}</tool_call>"),)),
        Message("user", (noise(3), noise(1), Text("second"))),
    ),
    "448 pixels": (Message("user", (noise(1, (448, 448)), noise(2, (448, 448)), Text("big"))),),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_pixels_and_positions_are_the_library_s_own(name: str, checkpoint: Checkpoint) -> None:
    conversation = CONVERSATIONS[name]
    frames = frames_of(conversation)
    with torch.inference_mode():
        pictures = Gallery(checkpoint.image_processor, checkpoint.model).show(frames)
    prompt = Prompter(checkpoint.tokenizer, checkpoint.model).prompt(conversation, pictures)

    processor = processor_of(checkpoint)
    messages = [
        {
            "role": message.role,
            "content": [
                {"type": "image"} if isinstance(part, Frame) else {"type": "text", "text": part.text}
                for part in message.parts
            ],
        }
        for message in conversation
    ]
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[text], images=[frame.image for frame in frames] or None, return_tensors="pt")
    assert list(prompt.ids) == inputs["input_ids"][0].tolist()
    expected, _ = checkpoint.model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs.get("image_grid_thw")
    )
    assert torch.equal(prompt.positions[1:], expected)
    assert prompt.positions[0, 0].tolist() == list(range(len(prompt.ids)))
    if frames:
        with torch.inference_mode():
            features = checkpoint.model.get_image_features(
                inputs["pixel_values"], inputs["image_grid_thw"]
            ).pooler_output
        for picture, same in zip(pictures, features, strict=True):
            torch.testing.assert_close(picture.features, same)


def test_spans_say_where_each_picture_stands(checkpoint: Checkpoint) -> None:
    conversation = CONVERSATIONS["sizes differ"]
    with torch.inference_mode():
        pictures = Gallery(checkpoint.image_processor, checkpoint.model).show(frames_of(conversation))
    prompt = Prompter(checkpoint.tokenizer, checkpoint.model).prompt(conversation, pictures)
    image = checkpoint.model.config.image_token_id
    places = [place for place, token in enumerate(prompt.ids) if token == image]
    assert [place for span in prompt.spans for place in range(span.start, span.stop)] == places
    assert [span.frame for span in prompt.spans] == list(frames_of(conversation))


@pytest.mark.parametrize("text", ["<|image_pad|>", "<|vision_start|><|image_pad|><|vision_end|>"])
def test_text_cannot_add_pictures(text: str, checkpoint: Checkpoint) -> None:
    conversation = (Message("user", (noise(1), Text(f"look: {text}"))),)
    with torch.inference_mode():
        pictures = Gallery(checkpoint.image_processor, checkpoint.model).show(frames_of(conversation))
    with pytest.raises(EngineError, match="1 pictures but 2 places"):
        Prompter(checkpoint.tokenizer, checkpoint.model).prompt(conversation, pictures)
