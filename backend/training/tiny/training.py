"""Training with the library's own Trainer: full prompts, but only some windows of each picture, more of them later."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import Trainer, TrainingArguments

from backend.engines.local.prompt import Prompter, frames_of
from backend.engines.local.vision import Picture
from backend.training.tiny.blueprint import PATCH, WINDOW
from backend.training.tiny.lesson import CONTRACT, argue_in_words, compare_at_once, hold_conversation, name_pictures
from backend.training.tiny.scene import picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from backend.engines.local.prompt import Prompt
    from backend.training.tiny.blueprint import Untrained
    from backend.training.tiny.lesson import Look
    from backend.training.tiny.scene import Scene
    from backend.types import Conversation

SIDE = CONTRACT.image_size[0]
MERGE = 2
IGNORED = -100
BATCH = 2


class Lesson(Protocol):
    """Holds one model conversation, drawing its pictures with `look`."""

    def __call__(self, rng: np.random.Generator, look: Look, /) -> Conversation:
        """The conversation."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """`share` of all steps: one kind of lesson, with `windows` x `windows` vision windows of each picture."""

    share: float
    lesson: Lesson
    windows: int


STAGES = (
    Stage(0.18, name_pictures, 1),
    Stage(0.17, compare_at_once, 1),
    Stage(0.25, argue_in_words, 1),
    Stage(0.28, hold_conversation, 1),
    Stage(0.08, hold_conversation, 2),
    Stage(0.04, hold_conversation, SIDE // WINDOW),
)


class Lessons(IterableDataset[dict[str, Any]]):
    """Model conversations as training rows, in the order in which they are to be learnt."""

    def __init__(self, parts: Untrained, seed: int, steps: int) -> None:
        """`steps` of `BATCH` rows each are divided among the stages."""
        self._parts = parts
        self._prompter = Prompter(parts.tokenizer, parts.model)
        self._seed = seed
        self._steps = steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(self._seed)
        for stage in STAGES:
            for _ in range(round(stage.share * self._steps) * BATCH):
                yield self._row(rng, stage)
        while True:
            yield self._row(rng, STAGES[-1])

    def _row(self, rng: np.random.Generator, stage: Stage) -> dict[str, Any]:
        side = stage.windows * WINDOW
        corners: list[tuple[int, int]] = []

        def look(scene: Scene, moment: float) -> Image:
            left, top = (int(rng.integers((SIDE - side) // WINDOW + 1)) * WINDOW for _ in range(2))
            corners.append((left, top))
            return picture(scene, moment, SIDE, (left, top, side))

        conversation = stage.lesson(rng, look)
        frames = frames_of(conversation)
        grid = (1, SIDE // PATCH, SIDE // PATCH)
        prompt = self._prompter.prompt(conversation, [Picture(grid, torch.empty(0))] * len(frames))
        kept = _kept(prompt, corners, side)
        ids = torch.tensor(prompt.ids)[kept]
        row = {
            "input_ids": ids[None],
            "position_ids": prompt.positions[1:, :, kept],
            "labels": _labels(self._parts, ids)[None],
        }
        if frames:
            row |= self._parts.image_processor([frame.image for frame in frames], return_tensors="pt")
        return row


def _kept(prompt: Prompt, corners: list[tuple[int, int]], side: int) -> torch.Tensor:
    """The places of all text and of those image tokens that lie in their picture's square."""
    cell = PATCH * MERGE
    row, column = torch.meshgrid(torch.arange(SIDE // cell), torch.arange(SIDE // cell), indexing="ij")
    keep = torch.ones(len(prompt.ids), dtype=torch.bool)
    for span, (left, top) in zip(prompt.spans, corners, strict=True):
        inside = (
            (row * cell >= top) & (row * cell < top + side) & (column * cell >= left) & (column * cell < left + side)
        )
        keep[span.start : span.stop] = inside.flatten()
    return keep.nonzero().flatten()


def _labels(parts: Untrained, ids: torch.Tensor) -> torch.Tensor:
    """The assistant's own words with their end tokens; everything else is not to be learnt."""
    start, end = (parts.tokenizer.convert_tokens_to_ids(token) for token in ("<|im_start|>", "<|im_end|>"))
    opening = parts.tokenizer("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    labels = torch.full_like(ids, IGNORED)
    for place in (ids == start).nonzero().flatten().tolist():
        first = place + len(opening)
        if ids[place:first].tolist() == opening and (ends := (ids[first:] == end).nonzero()).numel():
            last = first + int(ends[0])
            labels[first : last + 1] = ids[first : last + 1]
    return labels


def _alone(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows are of very different length, so each goes through the model alone; the Trainer sums their gradients."""
    (row,) = rows
    return row


def train(parts: Untrained, *, seed: int, steps: int) -> None:
    """Train in place for `steps` optimizer steps of `BATCH` conversations each."""
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=BATCH,
            learning_rate=1.5e-3,
            lr_scheduler_type="warmup_stable_decay",
            lr_scheduler_kwargs={"num_decay_steps": steps // 4},
            warmup_steps=min(40, steps // 5),
            weight_decay=0.01,
            adam_beta2=0.98,
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
            # A row's tensors differ in their first dimension, so they must not be cut to one batch size.
            accelerator_config={"dispatch_batches": False},
            save_strategy="no",
            report_to=[],
            logging_steps=10,
        )
        lessons = Lessons(parts, seed, steps)
        Trainer(model=parts.model, args=arguments, train_dataset=lessons, data_collator=_alone).train()
    parts.model.eval()
