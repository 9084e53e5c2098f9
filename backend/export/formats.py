"""One training example in the shape that each trainer reads. Pure: examples in, JSON objects out.

Sources: TRL dataset formats (conversational vision SFT and DPO), ms-swift custom datasets, LLaMA-Factory's ShareGPT
format, the `message_list` of VR-Thinker's own training code, VideoAlign's CSV columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.types import Dimension, Frame, Preference, Text

if TYPE_CHECKING:
    from backend.export.conversation import Example
    from backend.export.record import Record
    from backend.types import Conversation, Message

IMAGE = "<image>"
VIDEOALIGN = {Preference.VIDEO_1: "A", Preference.VIDEO_2: "B", Preference.TIE: "same"}


def images_of(example: Example, paths: dict[int, str]) -> list[str]:
    """The picture files of an example in the order in which the model sees them; `paths` by `id` of the frame."""
    return [paths[id(part)] for message in example.prompt for part in message.parts if isinstance(part, Frame)]


def trl_sft(example: Example, images: list[str]) -> dict[str, Any]:
    """`messages` and `images`, for TRL's SFTTrainer with a vision-language model."""
    return {"messages": [*_typed(example.prompt), _typed_reply(example.chosen)], "images": images}


def trl_dpo(example: Example, images: list[str]) -> dict[str, Any]:
    """`prompt`, `chosen`, `rejected` and `images`, for TRL's DPOTrainer with a vision-language model."""
    return {
        "prompt": _typed(example.prompt),
        "chosen": [_typed_reply(example.chosen)],
        "rejected": [_typed_reply(example.rejected)],
        "images": images,
    }


def ms_swift(example: Example, images: list[str]) -> dict[str, Any]:
    """`messages` with `<image>` marks and `images`; `rejected_response` makes the row fit RLHF as well."""
    row = {"messages": [*_marked(example.prompt), {"role": "assistant", "content": example.chosen}], "images": images}
    return row if example.chosen == example.rejected else {**row, "rejected_response": example.rejected}


def llama_factory(example: Example, images: list[str]) -> dict[str, Any]:
    """ShareGPT with OpenAI's role names; `dataset_info` says so to LLaMA-Factory."""
    return {"messages": [*_marked(example.prompt), {"role": "assistant", "content": example.chosen}], "images": images}


def message_list(example: Example, images: list[str]) -> dict[str, Any]:
    """VR-Thinker's own training rows: one list of messages whose pictures are files in place."""
    rest = iter(images)
    messages = []
    for message in example.prompt:
        parts = [
            {"type": "image", "image": next(rest)} if isinstance(part, Frame) else {"type": "text", "text": part.text}
            for part in message.parts
        ]
        messages.append({"role": message.role, "content": parts})
    return {"message_list": [*messages, _typed_reply(example.chosen)]}


def video_align(record: Record) -> dict[str, Any]:
    """VideoAlign's pairwise row: the two files, the prompt, and A, B or same per dimension."""
    human = record.human
    labels = {str(d): VIDEOALIGN[human[d]] if d in human else "" for d in Dimension}
    return {"path_A": record.video1, "path_B": record.video2, "prompt": record.prompt, **labels}


def dataset_info(files: dict[str, str]) -> dict[str, Any]:
    """LLaMA-Factory's `dataset_info.json` for files by dataset name."""
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    }
    return {
        name: {
            "file_name": file,
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": tags,
        }
        for name, file in files.items()
    }


def _typed(conversation: Conversation) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": [_part(part) for part in message.parts]} for message in conversation]


def _part(part: Text | Frame) -> dict[str, Any]:
    # Both keys always, so that columnar readers see one type of row.
    return {"type": "image", "text": None} if isinstance(part, Frame) else {"type": "text", "text": part.text}


def _typed_reply(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def _marked(conversation: Conversation) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": _mark(message)} for message in conversation]


def _mark(message: Message) -> str:
    """The message as one string; a literal `<image>` in outside text is broken up, or it would ask for a picture."""
    return "".join(IMAGE if isinstance(part, Frame) else part.text.replace(IMAGE, "< image>") for part in message.parts)
