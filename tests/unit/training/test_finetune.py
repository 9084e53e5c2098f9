"""One real training step of the real classes, on a dataset as `vrthinker export --frames` writes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from typer.testing import CliRunner

from backend.cli import build_app
from backend.cli.exits import ExitCode, exit_code
from backend.engines.local.loading import load_engine
from backend.errors import CheckpointError, ExportError, SettingsError
from backend.export.dataset import ExportOptions, export_dataset
from backend.ledger import Ledger
from backend.reasoning.contract import VRTHINKER_128
from backend.settings import BUNDLED_CHECKPOINT
from backend.training.finetune import END, IGNORED, Conversations, finetune, load
from tests.unit.export.people import MQ, PROJECT, VIDEO_1, People
from tests.unit.export.test_dataset import lines
from tests.unit.export.videos import Studio
from tests.unit.label_studio.judgements import DECIDE

if TYPE_CHECKING:
    from pathlib import Path

TINY = str(BUNDLED_CHECKPOINT)
PROMPT = "prompt 1\u2028with every\u2029kind of\x85line's end"  # a row of JSON holds them as they are


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corrected pair, judged at once, so that there are eight pictures."""
    folder = tmp_path_factory.mktemp("finetune")
    studio = Studio(folder / "clips")
    studio.folder.mkdir()
    ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
    people = People(ledger)
    people.task(1, studio.judged(DECIDE, prompt=PROMPT), prompt=PROMPT, videos=studio.references)
    people.answer(1, {MQ: VIDEO_1})
    options = ExportOptions(PROJECT, folder / "set", VRTHINKER_128, formats=("trl-sft",), frames=True)
    export_dataset(ledger, options, studio.videos())
    ledger.close()
    return folder / "set"


def test_a_row_teaches_the_last_reply_and_nothing_else(dataset: Path) -> None:
    checkpoint = load(TINY)
    row = Conversations(dataset, "train", checkpoint)[0]
    [told] = lines(dataset / "trl-sft" / "train.jsonl")
    learnt = row["labels"][row["labels"] != IGNORED]
    assert checkpoint.tokenizer.decode(learnt) == told["completion"][0]["content"][0]["text"] + END
    assert row["image_grid_thw"].tolist() == [[1, 32, 32]] * 8
    assert row["position_ids"].shape == (3, 1, row["input_ids"].shape[-1])


def test_positions_go_on_as_the_model_itself_counts_them(dataset: Path) -> None:
    checkpoint = load(TINY)
    row = Conversations(dataset, "train", checkpoint)[0]
    ids = row["input_ids"]
    kinds = (ids == checkpoint.model.config.image_token_id).int()
    rope: Any = checkpoint.model.model.get_rope_index
    expected, _ = rope(ids, mm_token_type_ids=kinds, image_grid_thw=row["image_grid_thw"])
    assert torch.equal(row["position_ids"], expected)


def test_one_step_changes_the_weights_and_the_checkpoint_loads(dataset: Path, tmp_path: Path) -> None:
    learnt = finetune(dataset, tmp_path / "out", model=TINY, steps=1, batch=1, learning_rate=1e-3)
    assert (learnt.rows, learnt.steps, learnt.validation_loss) == (1, 1, None)
    assert math.isfinite(learnt.loss)
    before, after = (load(str(folder)).model.get_output_embeddings().weight for folder in (TINY, tmp_path / "out"))
    assert not torch.equal(before, after)
    assert load_engine(str(tmp_path / "out"), device="cpu")


def test_a_gpu_too_trains_weights_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert load(TINY).model.dtype == torch.float32


@pytest.mark.parametrize(("folder", "said"), [("", "Export it with --frames"), ("nothing", "There is no folder")])
def test_a_dataset_without_pictures_is_refused_before_the_model_is_loaded(
    tmp_path: Path, folder: str, said: str
) -> None:
    with pytest.raises(ExportError, match=said):
        finetune(tmp_path / folder, tmp_path / "out", model="/no/such/checkpoint", steps=1)


def test_a_checkpoint_that_is_not_there_is_one_sentence(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="/no/such/checkpoint cannot be loaded"):
        finetune(dataset, tmp_path / "out", model="/no/such/checkpoint", steps=1)


def test_an_interrupted_training_goes_on_to_the_same_weights(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    finetune(dataset, whole, model=TINY, steps=2, batch=1, learning_rate=1e-3)

    read, reads = Conversations.__getitem__, iter(range(2))

    def ctrl_c(rows: Conversations, place: int) -> dict[str, torch.Tensor]:
        if next(reads) == 1:
            raise KeyboardInterrupt
        return read(rows, place)

    monkeypatch.setattr(Conversations, "__getitem__", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        finetune(dataset, halves, model=TINY, steps=2, batch=1, learning_rate=1e-3, save_every=1)
    monkeypatch.undo()
    with pytest.raises(SettingsError, match="Go on with --resume"):
        finetune(dataset, halves, model=TINY, steps=2)
    learnt = finetune(dataset, halves, model=TINY, steps=2, batch=1, learning_rate=1e-3, save_every=1, resume=True)
    assert learnt.steps == 2
    one, other = (load(str(folder)).model.get_output_embeddings().weight for folder in (whole, halves))
    assert torch.equal(one, other)
    assert not list(halves.glob("checkpoint-*"))


def test_there_is_nothing_to_go_on_with(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no interrupted training"):
        finetune(dataset, tmp_path / "out", model=TINY, steps=1, resume=True)


def test_the_command_ends_with_one_sentence(tmp_path: Path) -> None:
    arguments = ["finetune", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]
    error = CliRunner().invoke(build_app(), arguments).exception
    assert isinstance(error, ExportError)
    assert exit_code(error) is ExitCode.FAILED
