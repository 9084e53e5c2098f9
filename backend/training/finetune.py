"""Fine-tuning on an exported dataset.

One small loop around the library's own Trainer, on the very files that TRL reads (`trl-sft/`). Only the last reply is
learnt: it ends in a person's labels, and before it stands exactly what the model had seen when it gave its own.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch.utils.data import Dataset
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    Qwen2_5_VLForConditionalGeneration,
    Trainer,
    TrainingArguments,
)

from backend.engines.local.prompt import Prompter, frames_of
from backend.engines.local.vision import Picture
from backend.errors import CheckpointError, ExportError, SettingsError
from backend.types import Frame, FrameRef, Message, Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import BaseImageProcessor, PreTrainedTokenizerBase

    from backend.types import Conversation

IGNORED = -100
END = "<|im_end|>"
ROWS = "trl-sft"
TRAINING = ".vrthinker-training"  # a folder in the checkpoint's, until that is written


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's three parts, to be trained in place."""

    model: Qwen2_5_VLForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    image_processor: BaseImageProcessor

    def save(self, folder: Path) -> None:
        """Write a checkpoint folder that a worker can load."""
        for part in (self.model, self.tokenizer, self.image_processor):
            part.save_pretrained(folder)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What training came to: the mean loss over its steps, and on the validation rows afterwards, if there are any."""

    rows: int
    steps: int
    loss: float
    validation_loss: float | None


class Conversations(Dataset[dict[str, torch.Tensor]]):
    """The conversations of one split as training rows, read when they are needed."""

    def __init__(self, folder: Path, split: str, checkpoint: Checkpoint) -> None:
        """`folder` is a dataset of `vrthinker export --frames`.

        Raises:
            ExportError: it holds no such rows.
        """
        file = _rows_of(folder, split)
        self._folder = folder
        # Not splitlines: that also splits at U+2028 and its like, which people's texts may hold.
        self._lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line]
        self._parts = checkpoint
        self._prompter = Prompter(checkpoint.tokenizer, checkpoint.model)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        row = json.loads(self._lines[place])
        conversation = _conversation(row["prompt"], [self._folder / name for name in row["images"]])
        pictures = self._parts.image_processor([f.image for f in frames_of(conversation)], return_tensors="pt")
        grids = [Picture(tuple(grid), torch.empty(0)) for grid in pictures["image_grid_thw"].tolist()]
        prompt = self._prompter.prompt(conversation, grids)
        reply = self._parts.tokenizer(_words(row["completion"]) + END, add_special_tokens=False)["input_ids"]
        ids = torch.tensor([*prompt.ids, *reply])
        labels = torch.full_like(ids, IGNORED)
        labels[len(prompt.ids) :] = ids[len(prompt.ids) :]
        positions = _continued(prompt.positions[1:], len(reply))
        return {"input_ids": ids[None], "position_ids": positions, "labels": labels[None], **pictures}


def _rows_of(folder: Path, split: str) -> Path:
    """The file of one split's rows.

    Raises:
        ExportError: the folder holds none.
    """
    if not folder.is_dir():
        raise ExportError(f"There is no folder {folder}. Name one that vrthinker export --frames has written.")
    file = folder / ROWS / f"{split}.jsonl"
    if not file.exists():
        raise ExportError(f"{folder} holds no {file.relative_to(folder)}. Export it with --frames.")
    return file


def _conversation(messages: Sequence[dict[str, Any]], images: Sequence[Path]) -> Conversation:
    """Messages as TRL reads them, their places for pictures filled in order."""
    rest = iter(images)
    return tuple(
        Message(
            message["role"],
            tuple(_frame(next(rest)) if part["type"] == "image" else Text(part["text"]) for part in message["content"]),
        )
        for message in messages
    )


def _frame(path: Path) -> Frame:
    """A picture; the places that frames have in videos do not matter here."""
    with Image.open(path) as picture:
        return Frame(FrameRef(1, 0), 0, 0, 0.0, picture.convert("RGB"))


def _words(messages: Sequence[dict[str, Any]]) -> str:
    return "".join(part["text"] for message in messages for part in message["content"])


def _continued(positions: torch.Tensor, count: int) -> torch.Tensor:
    """Positions [3, 1, tokens] with those of `count` more text tokens, which go on one by one."""
    after = positions.max() + 1 + torch.arange(count)
    return torch.cat([positions, after.expand(3, 1, count)], dim=-1)


def _alone(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Rows are of very different length, so each goes through the model alone; the Trainer sums their gradients."""
    (row,) = rows
    return row


def load(model: str, weights: str = "") -> Checkpoint:
    """A checkpoint in float32, also where a GPU computes in bfloat16: there a small step would be rounded away.

    `weights` is a folder of its weights at a later time.

    Raises:
        CheckpointError: there is none of that name, or it is of another kind.
    """
    try:
        return Checkpoint(
            Qwen2_5_VLForConditionalGeneration.from_pretrained(weights or model, dtype=torch.float32),
            AutoTokenizer.from_pretrained(model),
            AutoImageProcessor.from_pretrained(model, backend="pil"),
        )
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise CheckpointError(f"The checkpoint {model} cannot be loaded. Name a folder or a hub id. {said}") from error


def _states(out: Path) -> list[Path]:
    """The states of an interrupted training, the oldest first; one that was not written to its end does not count."""
    written = (out / TRAINING).glob("checkpoint-*/trainer_state.json")  # which the Trainer writes last
    return sorted((last.parent for last in written), key=lambda state: int(state.name.rpartition("-")[2]))


def _check_out(out: Path, *, resume: bool) -> None:
    """Nothing of anybody's may be overwritten or removed: only an empty place is taken, or an interrupted training's.

    Raises:
        SettingsError: there is something else, a state and no `resume`, or the other way round.
    """
    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out} is a file. Name a folder for the checkpoint with --out.")
    foreign = sorted(path.name for path in out.iterdir() if path.name != TRAINING) if out.is_dir() else []
    if foreign:
        raise SettingsError(
            f"{out} holds what no interrupted training left, e.g. {foreign[0]}. Move it away, or choose another folder "
            "with --out."
        )
    if resume and not _states(out):
        raise SettingsError(f"--resume: {out} holds no interrupted training. Begin one without --resume.")
    if _states(out) and not resume:
        raise SettingsError(
            f"{out} holds an interrupted training. Go on with --resume, or choose another folder with --out."
        )


def _clear(out: Path) -> None:
    """Remove what an interruption left half-written, or the Trainer would keep it as the latest state."""
    whole = _states(out)
    for part in (out / TRAINING).glob("*"):
        if part not in whole:
            shutil.rmtree(part, ignore_errors=True)


def _arguments(**chosen: Any) -> TrainingArguments:  # noqa: ANN401  # the Trainer's own
    """What the caller has chosen, and what these rows and this model need."""
    return TrainingArguments(
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        remove_unused_columns=False,
        prediction_loss_only=True,
        # A row's tensors differ in their first dimension, so they must not be cut to one batch size.
        accelerator_config={"dispatch_batches": False, "split_batches": False},
        save_strategy="steps",
        save_total_limit=1,
        report_to=[],
        logging_steps=1,
        **chosen,
    )


def _trainer(
    checkpoint: Checkpoint,
    rows: Conversations,
    validation: Conversations | None,
    **chosen: Any,  # noqa: ANN401  # the Trainer's own
) -> Trainer:
    """The Trainer, on one GPU alone: of several it would make one batch of as many rows, and each goes alone."""
    arguments = _arguments(**chosen)
    _ = arguments.device  # which counts the GPUs
    arguments._n_gpu = min(arguments.n_gpu, 1)  # as the Trainer itself does for a model on several; no option says it
    return Trainer(
        model=checkpoint.model, args=arguments, train_dataset=rows, eval_dataset=validation, data_collator=_alone
    )


def _finish(checkpoint: Checkpoint, out: Path) -> None:
    """Write the checkpoint and remove the training; whoever interrupts that can still go on from its latest state.

    In the moment of moving, that is once what was moved out is out of the way, as `_check_out` then says.
    """
    if torch.cuda.is_available():
        checkpoint.model.to(torch.bfloat16)  # what workers load it in
    written = out / TRAINING / "written"
    checkpoint.save(written)
    for file in written.iterdir():
        file.rename(out / file.name)
    shutil.rmtree(out / TRAINING)


def finetune(
    dataset: Path,
    out: Path,
    *,
    model: str,
    steps: int,
    learning_rate: float = 1e-5,
    batch: int = 8,
    seed: int = 0,
    save_every: int = 50,
    resume: bool = False,
) -> Learnt:
    """Train on the dataset's train rows for so many steps of `batch` rows, and write the checkpoint.

    After every `save_every` steps the training's state is put into a folder of its own in `out`, for `resume` to go on
    from after an interruption; the end removes it.

    Raises:
        CheckpointError: the model cannot be loaded.
        ExportError: the dataset has no rows with pictures.
        SettingsError: `out` holds anything else, a state and no `resume`, or the other way round.
    """
    _rows_of(dataset, "train")  # before minutes are spent on loading
    _check_out(out, resume=resume)
    _clear(out)
    state = str(_states(out)[-1]) if resume else ""
    # The Trainer loads a state's weights by names that this class has changed when it saved them, and so loads none.
    checkpoint = load(model, state)
    rows = Conversations(dataset, "train", checkpoint)
    held_out = (dataset / ROWS / "validation.jsonl").exists()
    trainer = _trainer(
        checkpoint,
        rows,
        Conversations(dataset, "validation", checkpoint) if held_out else None,
        output_dir=str(out / TRAINING),
        max_steps=steps,
        gradient_accumulation_steps=batch,
        learning_rate=learning_rate,
        seed=seed,
        save_steps=save_every,
    )
    trained = trainer.train(resume_from_checkpoint=state or None)
    after = trainer.evaluate()["eval_loss"] if held_out else None
    _finish(checkpoint, out)
    return Learnt(len(rows), trained.global_step, float(trained.training_loss), after)
