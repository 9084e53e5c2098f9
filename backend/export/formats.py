"""One training example in the shape that each trainer reads. Pure: examples in, JSON objects out.

Sources: TRL dataset formats (conversational vision SFT and DPO), ms-swift custom datasets, LLaMA-Factory's ShareGPT
format, the `message_list` of VR-Thinker's own training code, the CSV columns of VideoAlign's training guide.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from backend.label_studio.importing import below_document_root
from backend.types import Dimension, Frame, Preference, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.export.conversation import Example
    from backend.export.record import Record
    from backend.types import Conversation, FrameRef, Message

IMAGE = "<image>"
MARK = re.compile("<(image|video|audio|bbox|ref-object)>")  # of ms-swift and LLaMA-Factory
VIDEOALIGN = {Preference.VIDEO_1: "A", Preference.VIDEO_2: "B", Preference.TIE: "same"}
VIDEOALIGN_COLUMNS = (
    *("path_A", "path_B", "prompt", "VQ", "MQ", "TA", "Overall"),
    *("fps_A", "num_frames_A", "fps_B", "num_frames_B"),
)


class Unaligned(StrEnum):
    """Why VideoAlign gets no row of a record: its reader takes no gaps."""

    LABELS_MISSING = "labels_missing"  # the person did not label all four dimensions
    VIDEOS_UNKNOWN = "videos_unknown"  # the judgement does not say how long and how fast they are
    NO_PICTURES = "no_pictures"  # this export found a video gone or changed: the row would be of another one


def images_of(example: Example, paths: Mapping[FrameRef, str]) -> list[str]:
    """The picture files of an example in the order in which the model sees them."""
    return [paths[part.ref] for message in example.prompt for part in message.parts if isinstance(part, Frame)]


def trl_sft(example: Example, images: list[str]) -> dict[str, Any]:
    """`prompt`, `completion` and `images`, for TRL's SFTTrainer with a vision-language model.

    In one list of `messages` it would learn every token, the pictures' included; in two parts it learns the last reply.
    """
    return {"prompt": _typed(example.prompt), "completion": [_typed_reply(example.chosen)], "images": images}


def trl_dpo(example: Example, images: list[str]) -> dict[str, Any]:
    """`prompt`, `chosen`, `rejected` and `images`, for TRL's DPOTrainer with a vision-language model."""
    return {
        "prompt": _typed(example.prompt),
        "chosen": [_typed_reply(example.chosen)],
        "rejected": [_typed_reply(example.rejected)],
        "images": images,
    }


def ms_swift(example: Example, images: list[str]) -> dict[str, Any]:
    """`messages` with `<image>` marks and `images`, for supervised fine-tuning with ms-swift."""
    return {"messages": [*_marked(example.prompt), _said(example.chosen)], "images": images}


def ms_swift_pair(example: Example, images: list[str]) -> dict[str, Any]:
    """The same with the reply that was not wanted, for `swift rlhf`."""
    return {**ms_swift(example, images), "rejected_response": _plain(example.rejected)}


def llama_factory(example: Example, images: list[str]) -> dict[str, Any]:
    """ShareGPT with OpenAI's role names; `dataset_info` says so to LLaMA-Factory."""
    return ms_swift(example, images)


def llama_factory_pair(example: Example, images: list[str]) -> dict[str, Any]:
    """The same as a ranking of two replies."""
    chosen, rejected = _said(example.chosen), _said(example.rejected)
    return {"messages": _marked(example.prompt), "chosen": chosen, "rejected": rejected, "images": images}


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


def video_align(record: Record, *, lost: bool) -> list[str] | Unaligned:
    """VideoAlign's pairwise row, in the order of its columns: A, B or same per dimension, then each video's rates.

    Its reader puts a folder before the videos' names, so those of Label Studio's local files are paths below the
    document root; others stay addresses. `lost` says that the videos are no longer those that were judged.
    """
    human, clips = record.human, record.judgement.clips
    if len(human) < len(Dimension):
        return Unaligned.LABELS_MISSING
    if len(clips) != 2:
        return Unaligned.VIDEOS_UNKNOWN
    if lost:
        return Unaligned.NO_PICTURES
    labels = [VIDEOALIGN[human[d]] for d in (Dimension.VQ, Dimension.MQ, Dimension.TA, Dimension.OA)]
    rates = [text for clip in clips for text in (f"{clip.fps:g}", str(clip.frames))]
    paths = [below_document_root(video) or video for video in (record.video1, record.video2)]
    return [*paths, record.prompt, *labels, *rates]


def dataset_info(files: Mapping[str, str]) -> dict[str, Any]:
    """LLaMA-Factory's `dataset_info.json` for files by dataset name; a name that ends in `_pairs` is a ranking."""
    return {name: _dataset(file, ranking=name.endswith("_pairs")) for name, file in files.items()}


def _dataset(file: str, *, ranking: bool) -> dict[str, Any]:
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    }
    columns = {"messages": "messages", "images": "images"}
    if ranking:
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    return {"file_name": file, "formatting": "sharegpt", "ranking": ranking, "columns": columns, "tags": tags}


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
    return "".join(IMAGE if isinstance(part, Frame) else _plain(part.text) for part in message.parts)


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": _plain(text)}


def _plain(text: str) -> str:
    """The text, marks such as a literal `<image>` in it broken up, or they would ask for a picture or a sound."""
    return MARK.sub(r"< \1>", text)
