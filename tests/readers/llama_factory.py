"""LLaMA-Factory's own loader takes our rows: `python llama_factory.py DATASET`, where LLaMA-Factory is installed."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

# It imports torchaudio in any case, and the published one does not load beside a CPU torch. No sound is read here.
sys.modules["torchaudio"] = ModuleType("torchaudio")
sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)


def read(folder: Path) -> None:
    """Both datasets of `dataset_info.json`, pictures found."""
    from llamafactory.data.loader import _load_single_dataset
    from llamafactory.data.parser import get_dataset_list
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    expected = {"vrthinker_train": 2, "vrthinker_train_pairs": 1}
    place = str(folder)
    data = DataArguments(dataset=",".join(expected), dataset_dir=place, media_dir=place, template="qwen2_vl")
    model, training = ModelArguments(model_name_or_path=place), Seq2SeqTrainingArguments(place, use_cpu=True)
    for (name, count), found in zip(expected.items(), get_dataset_list(list(expected), place), strict=True):
        rows = _load_single_dataset(found, model, data, training)
        assert len(rows) == count, f"{name}: {len(rows)} rows"
        for row in rows:
            replies = [message["content"] for message in row["_response"]]
            assert len(replies) == (2 if name.endswith("pairs") else 1), replies
            assert all("<Answer>" in reply for reply in replies), replies
            assert all(Path(image).is_file() for image in row["_images"]), row["_images"]
        print(f"LLaMA-Factory reads {count} rows of {name}")


if __name__ == "__main__":
    read(Path(sys.argv[1]).absolute())
