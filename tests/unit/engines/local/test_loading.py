"""What loads, and one clear sentence for what does not."""

from __future__ import annotations

import importlib.util
import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from backend.engines.local import loading
from backend.engines.local.loading import load_engine
from backend.errors import CheckpointError, SettingsError
from backend.types import Message, Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELLO = (Message("user", (Text("hello"),)),)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may damage."""
    return shutil.copytree(folder, tmp_path / "checkpoint")


def test_a_folder_loads_and_answers(folder: Path) -> None:
    completion = load_engine(str(folder), device="cpu").complete(HELLO, max_new_tokens=3)
    assert completion.text
    assert completion.completion_tokens == 3


def test_loading_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_engine(str(folder)).complete(HELLO, max_new_tokens=3)
    assert capfd.readouterr() == ("", "")


def test_weights_are_float32_on_the_cpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[torch.dtype] = []
    monkeypatch.setattr(loading, "LocalEngine", lambda model, *_, **__: kinds.append(model.dtype))
    load_engine(str(folder), device="cpu")
    assert kinds == [torch.float32]


def test_a_checkpoint_in_shards_loads(folder: Path, copy: Path) -> None:
    _split(copy)
    whole, shards = (load_engine(str(path)).complete(HELLO, max_new_tokens=8) for path in (folder, copy))
    assert whole.text == shards.text


def _split(folder: Path) -> list[Path]:
    """The weights as two files and an index, as large checkpoints come."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    files: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        files |= dict.fromkeys(part, file)
    (folder / loading.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return sorted(folder.glob("*.safetensors"))


def _lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _lose_a_shard(folder: Path) -> None:
    _split(folder)[1].unlink()


def _damage_the_index(folder: Path) -> None:
    _split(folder)
    (folder / loading.INDEX).write_text("{}")


def _damage_the_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def _lose_a_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _generate_with(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = folder / "generation_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))

    return change


def _slide(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    layers = config["text_config"]["num_hidden_layers"]
    sliding = {"use_sliding_window": True, "sliding_window": 64, "layer_types": ["sliding_attention"] * layers}
    config["text_config"] |= sliding
    (folder / "config.json").write_text(json.dumps(config))


def _reconfigure(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = folder / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_reconfigure(model_type="llama"), "is a 'llama' model, but only 'qwen2_5_vl'"),
        (_reconfigure(model_type="never_heard_of"), "cannot be loaded"),
        (_reconfigure(text_config={"vocab_size": "many"}), "cannot be loaded"),
        (_lose("config.json"), "holds no config.json"),
        (_lose("model.safetensors"), "lacks 1 of its 1 weight files, model.safetensors first"),
        (_lose_a_shard, "lacks 1 of its 2 weight files, model-00002-of-00002.safetensors first"),
        (_damage_the_index, "index.json is damaged"),
        (_damage_the_weights, "cannot be loaded"),
        (_lose_a_tensor, "lacks 1 of the model's tensors, lm_head.weight first"),
        (_lose("tokenizer.json"), "lacks its tokenizer"),
        (_lose("chat_template.jinja"), "lacks its chat template"),
        (_lose("preprocessor_config.json"), "cannot be loaded"),
        (_generate_with(no_repeat_ngram_size=3), "has no_repeat_ngram_size in its generation_config.json"),
        (_generate_with(suppress_tokens=[5]), "has suppress_tokens in its generation_config.json"),
        (_generate_with(num_beams=4), "has num_beams in its generation_config.json"),
        (_slide, "uses sliding-window attention"),
        (shutil.rmtree, "There is no checkpoint folder"),
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_sentence(
    damage: Callable[[Path], None], message: str, copy: Path
) -> None:
    damage(copy)
    with pytest.raises(CheckpointError, match=message) as raised:
        load_engine(str(copy))
    assert str(copy) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_code_in_a_checkpoint_is_never_run(copy: Path) -> None:
    (copy / "evil.py").write_text("raise SystemExit('ran')")
    _reconfigure(model_type="other", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})(copy)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_engine(str(copy))


def test_an_unknown_hub_id_is_a_checkpoint_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("nobody/nothing is not a valid model identifier\nlong explanation")

    monkeypatch.setattr("backend.engines.local.loading.AutoConfig.from_pretrained", refuse)
    with pytest.raises(CheckpointError, match=r"nobody/nothing cannot be loaded.*OSError: nobody/nothing is not"):
        load_engine("nobody/nothing")


def test_a_hub_id_is_loaded_at_its_revision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def stop(model: str, *, revision: str | None = None, **_: object) -> None:
        asked.append((model, revision))
        raise OSError("far enough")

    monkeypatch.setattr("backend.engines.local.loading.AutoConfig.from_pretrained", stop)
    for revision in ("", "abc123"):
        with pytest.raises(CheckpointError):
            load_engine("owner/name", revision=revision)
    assert asked == [("owner/name", None), ("owner/name", "abc123")]


@pytest.mark.parametrize("device", ["cuda:99", "tpu", ""])
def test_a_device_that_is_not_here_is_refused(device: str, folder: Path) -> None:
    with pytest.raises(SettingsError, match=f"DEVICE is {device!r}.*auto, cpu"):
        load_engine(str(folder), device=device)


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantization_without_a_gpu_is_refused(quantization: str, folder: Path) -> None:
    with pytest.raises(SettingsError, match=f"QUANTIZATION is {quantization!r}, which needs a CUDA GPU"):
        load_engine(str(folder), device="cpu", quantization=quantization)


def test_quantization_without_its_library_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match="needs a CUDA GPU and the package bitsandbytes"):
        load_engine(str(folder), quantization="4bit")


@pytest.mark.parametrize(("installed", "expected"), [(True, "flash_attention_2"), (False, "sdpa")])
def test_attention_is_what_is_installed(installed: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "is_flash_attn_2_available", lambda: installed)
    assert loading._attention({"device_map": "auto"}) == expected
    assert loading._attention({}) == "sdpa", "it has no kernels for the CPU"


@pytest.mark.parametrize("place", ["cpu", "disk", torch.device("cpu")])
def test_weights_that_fit_the_gpu_only_in_part_are_a_checkpoint_error(
    place: object, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_class = Qwen2_5_VLForConditionalGeneration
    load = model_class.from_pretrained

    def placed(*arguments: object, **options: object) -> object:
        weights, report = load(*arguments, **options)
        weights.hf_device_map = {"model.visual": 0, "lm_head": place}
        return weights, report

    monkeypatch.setattr(model_class, "from_pretrained", placed)
    with pytest.raises(CheckpointError, match=r"does not fit on this GPU.*QUANTIZATION"):
        load_engine(str(folder))


def test_weights_that_do_not_fit_the_gpu_are_a_checkpoint_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(f"{loading.__name__}.Qwen2_5_VLForConditionalGeneration.from_pretrained", burst)
    with pytest.raises(CheckpointError, match=r"does not fit on this GPU.*QUANTIZATION"):
        load_engine(str(folder))
