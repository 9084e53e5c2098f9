"""The model version changes with everything that could change a judgement, and with nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.errors import SettingsError
from backend.settings import Settings, load_settings
from backend.version import BLOCK_BYTES, BLOCKS, contract_of, model_version


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder with a model's files; the weights are larger than what is sampled of them."""
    folder = tmp_path / "my model (v2)"
    folder.mkdir()
    Path(folder, "config.json").write_text('{"hidden_size": 64}', encoding="utf-8")
    Path(folder, "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    with Path(folder, "model.safetensors").open("wb") as file:
        file.truncate(2 * BLOCKS * BLOCK_BYTES)
    return folder


def version_of(folder: Path) -> str:
    return model_version(Settings(model=str(folder)))


def test_a_version_is_readable_and_fit_for_urls_and_label_studio(checkpoint: Path) -> None:
    name, contract, engine, options = version_of(checkpoint).split(".")
    assert name.startswith("my-model--v2--")
    assert (contract, engine) == ("vrthinker-128v1", "transformers")
    assert len(options) == 6


def test_the_same_settings_give_the_same_version(checkpoint: Path) -> None:
    assert version_of(checkpoint) == version_of(checkpoint)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contract", "vr-thinker-96"),
        ("engine", "openai"),
        ("force_answer", False),
        ("memory_window", 2),
        ("quantization", "4bit"),
        ("swap_check", "all"),
        ("swap_check", "uncertain"),
        ("model_revision", "0123456789abcdef"),
    ],
)
def test_an_option_that_changes_answers_changes_the_version(checkpoint: Path, name: str, value: object) -> None:
    changed = Settings(**{"model": str(checkpoint), name: value})  # type: ignore[arg-type]  # pydantic validates it
    assert model_version(changed) != version_of(checkpoint)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model": "qunwang13/vrthinker"}, {"model": "acme/vrthinker"}),
        ({"engine": "openai", "model": "/round1/tuned"}, {"engine": "openai", "model": "/round2/tuned"}),
        ({"model_revision": "finetune-round1"}, {"model_revision": "finetune-round2"}),
        ({"swap_check": "uncertain", "swap_threshold": 0.5}, {"swap_check": "uncertain", "swap_threshold": 0.6}),
    ],
)
def test_what_the_readable_part_does_not_show_counts_too(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert model_version(Settings(**one)) != model_version(Settings(**other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"swap_threshold": 0.5}),
        ({"swap_check": "all"}, {"swap_check": "all", "swap_threshold": 0.5}),
        ({"engine": "openai"}, {"engine": "openai", "quantization": "4bit"}),
    ],
)
def test_an_option_that_is_not_looked_at_leaves_the_version_alone(
    checkpoint: Path, one: dict[str, Any], other: dict[str, Any]
) -> None:
    versions = {model_version(Settings(model=str(checkpoint), **options)) for options in (one, other)}
    assert len(versions) == 1


@pytest.mark.parametrize("name", ["port", "max_attempts", "web_threads", "batch"])
def test_an_option_that_changes_no_answer_leaves_the_version_alone(checkpoint: Path, name: str) -> None:
    changed = Settings(**{"model": str(checkpoint), name: 5})  # type: ignore[arg-type]  # pydantic validates it
    assert model_version(changed) == version_of(checkpoint)


@pytest.mark.parametrize("name", ["config.json", "chat_template.jinja"])
def test_other_configuration_is_another_version(checkpoint: Path, name: str) -> None:
    before = version_of(checkpoint)
    Path(checkpoint, name).write_text("other", encoding="utf-8")
    assert version_of(checkpoint) != before


def test_weights_retrained_anywhere_in_a_large_file_are_another_version(checkpoint: Path) -> None:
    before = version_of(checkpoint)
    with Path(checkpoint, "model.safetensors").open("r+b") as file:
        file.seek(BLOCKS * BLOCK_BYTES)
        file.write(b"\1" * 3 * BLOCK_BYTES)
    assert version_of(checkpoint) != before


def test_every_byte_of_a_small_file_counts(checkpoint: Path) -> None:
    Path(checkpoint, "adapter_model.safetensors").write_bytes(bytes(100_000))
    before = version_of(checkpoint)
    Path(checkpoint, "adapter_model.safetensors").write_bytes(bytes(99_999) + b"\1")
    assert version_of(checkpoint) != before


def test_a_file_more_or_renamed_is_another_version(checkpoint: Path) -> None:
    before = version_of(checkpoint)
    Path(checkpoint, "empty.json").touch()
    more = version_of(checkpoint)
    Path(checkpoint, "empty.json").rename(checkpoint / "void.json")
    assert len({before, more, version_of(checkpoint)}) == 3


def test_files_that_are_not_the_model_s_do_not_count(checkpoint: Path) -> None:
    before = version_of(checkpoint)
    Path(checkpoint, "README.md").write_text("hello", encoding="utf-8")
    assert version_of(checkpoint) == before


def test_the_folder_s_name_counts_however_it_is_written(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkpoint)
    assert model_version(Settings(model=".")) == version_of(checkpoint)


@pytest.mark.parametrize(
    ("revision", "weights"), [("", "main"), ("v1.0", "v1.0"), ("0123456789abcdef", "0123456789ab")]
)
def test_a_hub_id_is_named_with_its_revision(revision: str, weights: str) -> None:
    version = model_version(Settings(model="qunwang13/vrthinker", model_revision=revision))
    assert version.startswith(f"vrthinker-{weights}.vrthinker-128v1.transformers.")


@pytest.mark.parametrize("model", ["tuned", "/models/tuned", "./models/tuned", "https://hub/acme/tuned"])
def test_a_model_that_is_nowhere_is_refused_where_nothing_tells_its_weights(model: str) -> None:
    with pytest.raises(SettingsError, match=f"MODEL is '{model}', neither a folder here nor a hub id"):
        model_version(Settings(model=model))
    assert ".transformers." in model_version(Settings(model=model, model_revision="may"))
    assert ".openai." in model_version(Settings(model=model, engine="openai"))


def test_an_unknown_contract_is_refused() -> None:
    with pytest.raises(SettingsError, match="CONTRACT is 'other'"):
        model_version(Settings(contract="other"))


@pytest.mark.parametrize(("window", "kept"), [(None, 1), ("0", 0), ("3", 3), ("off", None)])
def test_a_memory_window_replaces_the_contract_s_own(window: str | None, kept: int | None) -> None:
    assert contract_of(load_settings(contract="vr-thinker-96", memory_window=window)).memory_window == kept


def test_a_contract_without_its_own_window_is_the_same_with_the_window_off() -> None:
    assert model_version(Settings(memory_window="off")) == model_version(Settings())
    versions = {
        model_version(Settings(contract="vr-thinker-96", memory_window=window)) for window in (None, "off", 1, 2)
    }
    assert len(versions) == 3, "1 is what that contract has by itself"
