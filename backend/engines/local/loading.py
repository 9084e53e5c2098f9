"""A checkpoint folder or hub id -> a ready `LocalEngine`, or one sentence on why not."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    BitsAndBytesConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.utils import is_flash_attn_2_available
from transformers.utils import logging as chatter

from backend.engines.local.engine import LocalEngine
from backend.errors import CheckpointError, SettingsError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ARCHITECTURE = "qwen2_5_vl"
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
# What would change a greedy choice, besides the repetition penalty.
STEERING = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "encoder_repetition_penalty",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "guidance_scale",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "num_beams",
    "sequence_bias",
    "suppress_tokens",
)
INDEX = "model.safetensors.index.json"


def load_engine(
    model: str, *, revision: str = "", device: str = "auto", quantization: str = "none", batch: int = 1
) -> LocalEngine:
    """Load any Qwen2.5-VL checkpoint: bf16 spread over all GPUs, or float32 on the CPU where there is none.

    Code that a checkpoint may bring along is never run.

    Args:
        model: a folder, or a hub id such as `qunwang13/vrthinker`.
        revision: commit or tag of a hub id; empty for the newest.
        device: `auto`, `cpu`, or one GPU as `cuda:1`.
        quantization: `none`, `8bit` or `4bit`; the latter two want bitsandbytes and a GPU.
        batch: how many conversations may go on together.

    Raises:
        CheckpointError: no such folder or hub id, another architecture, missing or damaged files, no room on the GPU.
        SettingsError: the device or the quantization cannot be had on this machine.
    """
    placement = _placement(device) | _quantization(quantization, device)
    _require_files(model)
    _quieten()
    try:
        return _load(model, {"revision": revision} if revision else {}, placement, batch)
    except CheckpointError:
        raise
    except torch.OutOfMemoryError as error:
        raise _too_large(model) from error
    except Exception as error:  # the libraries raise many kinds here; each means that it cannot be loaded
        raise CheckpointError(
            f"The checkpoint {model} cannot be loaded. Check that all its files are there. "
            f"{type(error).__name__}: {_first_line(error)}"
        ) from error


def _load(model: str, revision: dict[str, str], placement: dict[str, Any], batch: int) -> LocalEngine:
    common = {"trust_remote_code": False, **revision}
    config = AutoConfig.from_pretrained(model, **common)
    if config.model_type != ARCHITECTURE:
        raise CheckpointError(
            f"The checkpoint {model} is a {config.model_type!r} model, but only {ARCHITECTURE!r} (Qwen2.5-VL) can be "
            "asked this way."
        )
    tokenizer = AutoTokenizer.from_pretrained(model, **common)
    _require_tokenizer(model, tokenizer, config.image_token_id)
    # The PIL backend everywhere: its pixels do not depend on whether torchvision is installed.
    image_processor = AutoImageProcessor.from_pretrained(model, backend="pil", **common)
    weights, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        model, **common, **placement, attn_implementation=_attention(placement), output_loading_info=True
    )
    # Tensors that a checkpoint lacks would silently get random values.
    if lacking := sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"]):
        raise CheckpointError(
            f"The checkpoint {model} lacks {len(lacking)} of the model's tensors, {lacking[0]} first. "
            "Download it again."
        )
    # Where the GPUs are too small, the library would run part of the model on the CPU, a hundred times slower.
    if {"cpu", "disk"} & {str(place) for place in getattr(weights, "hf_device_map", {}).values()}:
        raise _too_large(model)
    _require_plain_decoding(model, weights)
    return LocalEngine(weights.eval(), tokenizer, image_processor, batch=batch)


def _placement(device: str) -> dict[str, Any]:
    """The data type and the device, as `from_pretrained` wants them."""
    gpu = torch.cuda.is_available()
    if device == "cpu" or (device == "auto" and not gpu):
        return {"dtype": torch.float32}
    if device == "auto":
        return {"dtype": torch.bfloat16, "device_map": "auto"}
    known = ["auto", "cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if device not in known:
        raise SettingsError(f"DEVICE is {device!r}, which this machine does not have. Use one of: {', '.join(known)}.")
    return {"dtype": torch.bfloat16, "device_map": {"": device}}


def _quantization(quantization: str, device: str) -> dict[str, Any]:
    if quantization == "none":
        return {}
    if device == "cpu" or not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise SettingsError(
            f"QUANTIZATION is {quantization!r}, which needs a CUDA GPU and the package bitsandbytes. "
            "Install it, or use none."
        )
    eight = quantization == "8bit"
    settings = BitsAndBytesConfig(
        load_in_8bit=eight, load_in_4bit=not eight, bnb_4bit_compute_dtype=torch.bfloat16, bnb_4bit_quant_type="nf4"
    )
    return {"quantization_config": settings}


def _attention(placement: dict[str, Any]) -> str:
    """FlashAttention where it is installed and can run (GPUs, half precision), else torch's own."""
    on_gpu = "device_map" in placement
    return "flash_attention_2" if on_gpu and is_flash_attn_2_available() else "sdpa"


def _require_files(model: str) -> None:
    """For a folder: that it exists and holds every shard that its index names."""
    folder = Path(model)
    if not folder.is_dir():
        if not HUB_ID.fullmatch(model):
            raise CheckpointError(f"There is no checkpoint folder {model}. Set MODEL to a folder or a hub id.")
        return
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"The folder {model} holds no config.json, so it is not a checkpoint.")
    shards = {"model.safetensors"}
    if (folder / INDEX).is_file():
        try:
            shards = set(json.loads((folder / INDEX).read_text())["weight_map"].values())
        except (ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{folder / INDEX} is damaged: {error}. Download it again.") from error
    if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
        raise CheckpointError(
            f"The checkpoint {model} lacks {len(missing)} of its {len(shards)} weight files, {missing[0]} first. "
            "Download it again."
        )


def _require_tokenizer(model: str, tokenizer: PreTrainedTokenizerBase, image_token: int) -> None:
    """Without its files the library quietly makes an empty tokenizer."""
    if tokenizer.convert_tokens_to_ids("<|image_pad|>") != image_token:
        raise CheckpointError(f"The checkpoint {model} lacks its tokenizer, or has another model's. Download it again.")
    if not tokenizer.chat_template:
        raise CheckpointError(f"The checkpoint {model} lacks its chat template. Download it again.")


def _require_plain_decoding(model: str, weights: Qwen2_5_VLForConditionalGeneration) -> None:
    """Greedy, with a repetition penalty at most, and attention to everything before: all that the engine does."""
    generation = weights.generation_config.to_diff_dict()
    if unknown := sorted(name for name in STEERING if generation.get(name) not in (None, 0, 1)):
        raise CheckpointError(
            f"The checkpoint {model} has {unknown[0]} in its generation_config.json, which this engine does not "
            "follow. Remove it, or use ENGINE=openai."
        )
    if set(weights.config.get_text_config().layer_types) != {"full_attention"}:
        raise CheckpointError(
            f"The checkpoint {model} uses sliding-window attention, which this engine does not. Use ENGINE=openai."
        )


def _too_large(model: str) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint {model} does not fit on this GPU. Use a larger one, or QUANTIZATION=8bit or 4bit."
    )


def _quieten() -> None:
    """Keep the library's bars and hints out of commands whose output is read by programs."""
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no details")
