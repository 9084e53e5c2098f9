"""TRL reads its two formats by its own data utilities, and takes a real step on the small checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, Image, List, load_dataset
from transformers import AutoImageProcessor, AutoTokenizer, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.data_utils import is_conversational

from backend.export.dataset import ExportOptions, export_dataset
from backend.ledger import Ledger
from backend.settings import BUNDLED_CHECKPOINT
from tests.unit.export.people import MQ, PROJECT, VIDEO_1, People
from tests.unit.export.videos import Studio
from tests.unit.label_studio.judgements import DECIDE

TINY = str(BUNDLED_CHECKPOINT)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


class PictureProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]  # the library has no types
    """The library's own processor without its video part, which needs torchvision."""

    def __init__(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(TINY)
        self.image_processor = AutoImageProcessor.from_pretrained(TINY, backend="pil")
        self.video_processor = None
        self.chat_template = self.tokenizer.chat_template
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id, self.video_token_id = self.tokenizer.convert_tokens_to_ids(
            [self.image_token, self.video_token]
        )
        self.image_ids, self.video_ids = [self.image_token_id], [self.video_token_id]
        self.audio_ids: list[int] = []


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corrected pair, judged at once, so that there are eight pictures."""
    folder = tmp_path_factory.mktemp("trl")
    studio = Studio(folder / "clips")
    studio.folder.mkdir()
    ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
    people = People(ledger)
    people.task(1, studio.judged(DECIDE, prompt="prompt 1"), prompt="prompt 1", videos=studio.references)
    people.answer(1, {MQ: VIDEO_1})
    options = ExportOptions(PROJECT, folder / "set", formats=("trl-sft", "trl-dpo"), frames=True)
    export_dataset(ledger, options, studio.videos())
    ledger.close()
    return folder / "set"


@pytest.fixture
def rows(request: pytest.FixtureRequest, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The training rows of a format, opened where the pictures' names lead from."""
    monkeypatch.chdir(dataset)
    found = load_dataset("json", data_files=f"{request.param}/train.jsonl", split="train", cache_dir=str(tmp_path))
    return found.cast_column("images", List(Image()))


@pytest.fixture
def model() -> Any:  # noqa: ANN401  # the library has no types
    """The small checkpoint, to be trained in float32."""
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(TINY, dtype=torch.float32)


def settings(folder: Path) -> dict[str, Any]:
    """One step on the CPU, nothing cut off."""
    return {
        "output_dir": str(folder),
        "max_steps": 1,
        "per_device_train_batch_size": 1,
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "gradient_checkpointing": False,
        "max_length": None,
        "save_strategy": "no",
    }


def learnt(trainer: SFTTrainer, batch: Any) -> str:  # noqa: ANN401  # the library has no types
    """The text of the tokens that count in the loss, without the line's end that the chat template adds."""
    told: str = trainer.processing_class.tokenizer.decode(batch["input_ids"][batch["labels"] != -100])
    return told.rstrip("\n")


@pytest.mark.parametrize("rows", ["trl-sft"], indirect=True)
def test_sft_takes_a_step_on_an_exported_conversation(rows: Dataset, model: Any, tmp_path: Path) -> None:  # noqa: ANN401
    assert is_conversational(rows[0])
    trainer = SFTTrainer(
        model=model, args=SFTConfig(**settings(tmp_path)), train_dataset=rows, processing_class=PictureProcessor()
    )
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["image_grid_thw"].tolist() == [[1, 32, 32]] * 8
    assert int((batch["input_ids"] == model.config.image_token_id).sum()) == 8 * 16 * 16
    assert learnt(trainer, batch) == rows[0]["completion"][0]["content"][0]["text"] + "<|im_end|>"
    assert math.isfinite(trainer.train().training_loss)


@pytest.mark.parametrize("rows", ["trl-dpo"], indirect=True)
def test_dpo_takes_a_step_on_an_exported_preference(rows: Dataset, model: Any, tmp_path: Path) -> None:  # noqa: ANN401
    assert is_conversational(rows[0])
    trainer = DPOTrainer(
        model=model, args=DPOConfig(**settings(tmp_path)), train_dataset=rows, processing_class=PictureProcessor()
    )
    # Before the first step the model is its own reference, so the loss is that of a coin.
    assert trainer.train().training_loss == pytest.approx(math.log(2), abs=1e-3)
