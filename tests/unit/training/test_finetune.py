"""One real training step of the real classes, on a dataset as `vrthinker export --frames` writes it."""

from __future__ import annotations

import math
import shutil
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
from backend.settings import BUNDLED_CHECKPOINT
from backend.training import finetune as training
from backend.training.finetune import END, IGNORED, TRAINING, Checkpoint, Conversations, finetune, load
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
    options = ExportOptions(PROJECT, folder / "set", formats=("trl-sft",), frames=True)
    export_dataset(ledger, options, studio.videos())
    ledger.close()
    return folder / "set"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


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
    assert names(halves) == names(whole)
    assert TRAINING not in names(whole)


def test_a_training_that_was_interrupted_before_its_first_state_begins_anew(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def ctrl_c(_rows: Conversations, _place: int) -> dict[str, torch.Tensor]:
        raise KeyboardInterrupt

    with monkeypatch.context() as early:
        early.setattr(Conversations, "__getitem__", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            finetune(dataset, out, model=TINY, steps=1, batch=1)
    half = out / TRAINING / "checkpoint-9"  # of which the Trainer writes `trainer_state.json` last
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    with pytest.raises(SettingsError, match="Begin one without --resume"):
        finetune(dataset, out, model=TINY, steps=1, resume=True)
    assert finetune(dataset, out, model=TINY, steps=1, batch=1, save_every=1).steps == 1
    assert TRAINING not in names(out)


def test_a_half_written_state_is_never_kept_for_a_whole_one(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    interrupted_while_the_checkpoint_is_written(dataset, out, monkeypatch)
    (out / TRAINING / "checkpoint-9").mkdir()
    with monkeypatch.context() as again:
        again.setattr(Checkpoint, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            finetune(dataset, out, model=TINY, steps=2, batch=1, save_every=1, resume=True)
    assert names(out / TRAINING) == {"checkpoint-2"}


def test_what_the_end_interrupted_is_ended_with_resume(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    interrupted_while_the_checkpoint_is_written(dataset, out, monkeypatch)
    assert names(out) == {TRAINING}
    assert finetune(dataset, out, model=TINY, steps=1, batch=1, save_every=1, resume=True).steps == 1
    assert load(str(out))
    assert TRAINING not in names(out)


def interrupted_while_the_checkpoint_is_written(dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of training whose state is written, and half of the checkpoint."""

    def ctrl_c(checkpoint: Checkpoint, folder: Path) -> None:
        checkpoint.tokenizer.save_pretrained(folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as late:
        late.setattr(Checkpoint, "save", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            finetune(dataset, out, model=TINY, steps=1, batch=1, save_every=1)


@pytest.mark.parametrize("inside", ["checkpoint-best/trainer_state.json", "checkpoint-old/model.safetensors", "a.txt"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_something_else_in_it_is_refused_before_the_model_is_loaded(
    dataset: Path, tmp_path: Path, inside: str, resume: bool
) -> None:
    (tmp_path / inside).parent.mkdir(exist_ok=True)
    (tmp_path / inside).write_text("{}")
    (tmp_path / TRAINING / "checkpoint-1").mkdir(parents=True)
    (tmp_path / TRAINING / "checkpoint-1" / "trainer_state.json").write_text("{}")
    first = inside.split("/")[0]
    with pytest.raises(SettingsError, match=rf"e\.g\. {first}\. Move it away, or choose another folder with --out\."):
        finetune(dataset, tmp_path, model="/no/such/checkpoint", steps=1, resume=resume)
    assert (tmp_path / inside).read_text() == "{}"


def test_a_file_in_the_folder_s_place_is_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(SettingsError, match="is a file"):
        finetune(dataset, tmp_path / "out", model="/no/such/checkpoint", steps=1)


def test_several_gpus_make_no_batch_of_several_rows(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = tmp_path / "set"
    shutil.copytree(dataset, two)
    (two / "trl-sft" / "train.jsonl").write_text((dataset / "trl-sft" / "train.jsonl").read_text() * 2)
    made = training._arguments

    def on_two_gpus(**chosen: Any) -> Any:  # noqa: ANN401  # the library has no types
        """What the library notes where it sees two."""
        arguments = made(**chosen)
        assert arguments.device.type == "cpu"
        arguments._n_gpu = 2
        assert arguments.train_batch_size == 2
        return arguments

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(training, "_arguments", on_two_gpus)
    assert finetune(two, tmp_path / "out", model=TINY, steps=1, batch=1).rows == 2


def test_there_is_nothing_to_go_on_with(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no interrupted training"):
        finetune(dataset, tmp_path / "out", model=TINY, steps=1, resume=True)


def test_the_command_ends_with_one_sentence(tmp_path: Path) -> None:
    arguments = ["finetune", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]
    error = CliRunner().invoke(build_app(), arguments).exception
    assert isinstance(error, ExportError)
    assert exit_code(error) is ExitCode.FAILED
