"""Models to measure: any checkpoint, or random weights of a given shape, which cost the same time as trained ones.

Random weights come with the small bundled checkpoint's tokenizer: what is read and said has a token or two more or
fewer than with the real one, and nothing has to be downloaded.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.utils import is_flash_attn_2_available
from transformers.utils import logging as chatter

from backend.errors import CheckpointError, SettingsError

BUNDLED = Path(__file__).parents[1] / "checkpoints" / "tiny"

SMALL_VISION = {
    "depth": 4,
    "hidden_size": 160,
    "intermediate_size": 432,
    "num_heads": 4,
    "fullatt_block_indexes": [3],
}
# Text and vision settings of random models. "7b" is Qwen2.5-VL-7B; "cpu" has its proportions at 12 million parameters.
# "wide" has 100 million in its decoder, so that on a CPU, too, a step is held up by memory.
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "7b": (
        {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
    ),
    "cpu": (
        {
            "hidden_size": 384,
            "intermediate_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
        },
        SMALL_VISION,
    ),
    "wide": (
        {
            "hidden_size": 1024,
            "intermediate_size": 2816,
            "num_hidden_layers": 8,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
        },
        SMALL_VISION,
    ),
}
ENDS = ("<|im_end|>", "<|endoftext|>")
COMMON_TEXT = {"max_position_embeddings": 128_000, "rms_norm_eps": 1e-6}
TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
COMMON_VISION = {"patch_size": 14, "window_size": 112, "tokens_per_second": 2}


@dataclass(frozen=True, slots=True)
class Parts:
    """A loaded model with its tokenizer and image processor, in the library's own classes."""

    name: str
    model: Any
    tokenizer: Any
    image_processor: Any


def device_of(name: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU.

    Raises:
        SettingsError: this machine has no such device.
    """
    gpu = torch.cuda.is_available()
    device = torch.device(("cuda" if gpu else "cpu") if name == "auto" else name)
    if device.type == "cuda" and not gpu:
        raise SettingsError(f"--device is {name!r}, but torch sees no CUDA GPU here. Use cpu.")
    return device


def load(model: str, device: torch.device) -> Parts:
    """A checkpoint folder or hub id, in bf16 on a GPU and in float32 on the CPU.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    chatter.disable_progress_bar()
    try:
        weights = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            model, dtype=_dtype(device), attn_implementation=_attention(device)
        )
        tokenizer = AutoTokenizer.from_pretrained(model)
        image_processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"The checkpoint {model} cannot be loaded: {str(error).splitlines()[0]}") from error
    return Parts(model, weights.to(device).eval(), tokenizer, image_processor)


def random_model(shape: str, device: torch.device) -> Parts:
    """Random weights of this shape, made on the device itself; the same ones every time.

    Raises:
        SettingsError: there is no such shape, or the device has no room for it.
    """
    if shape not in SHAPES:
        raise SettingsError(f"--shape is {shape!r}. Use one of: {', '.join(SHAPES)}.")
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    torch.manual_seed(7)
    try:
        with device:
            model = Qwen2_5_VLForConditionalGeneration._from_config(
                _config(shape, tokenizer), dtype=_dtype(device), attn_implementation=_attention(device)
            )
    except torch.OutOfMemoryError as error:
        raise SettingsError(f"--shape {shape} does not fit on {device}. Use a larger GPU or another shape.") from error
    end, nothing = (tokenizer.convert_tokens_to_ids(token) for token in ENDS)
    model.generation_config = GenerationConfig(
        bos_token_id=nothing, pad_token_id=nothing, eos_token_id=[end, nothing], do_sample=False
    )
    return Parts(
        f"random weights, shape {shape}",
        model.eval(),
        tokenizer,
        AutoImageProcessor.from_pretrained(BUNDLED, backend="pil"),
    )


def model_facts(parts: Parts) -> dict[str, str]:
    """What was run."""
    model = parts.model
    return {
        "model": parts.name,
        "parameters": f"{model.num_parameters():,}",
        "precision": str(model.dtype).removeprefix("torch."),
        "attention": str(model.config._attn_implementation),
    }


def machine_of() -> dict[str, str]:
    """What the figures depend on."""
    gpu = torch.cuda.is_available()
    return {
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if gpu else "none",
        "cores": str(os.cpu_count()),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
    }


def _config(shape: str, tokenizer: Any) -> Qwen2_5_VLConfig:  # noqa: ANN401  # the library has no types
    text, vision = SHAPES[shape]
    end, nothing = (tokenizer.convert_tokens_to_ids(token) for token in ENDS)
    spread = text["hidden_size"] ** -0.5  # so that logits differ by more than rounding
    return Qwen2_5_VLConfig(
        text_config=COMMON_TEXT
        | {"vocab_size": len(tokenizer)}
        | text
        | {"initializer_range": spread, "bos_token_id": nothing, "eos_token_id": end},
        vision_config=COMMON_VISION
        | vision
        | {"out_hidden_size": text["hidden_size"], "initializer_range": vision["hidden_size"] ** -0.5},
        tie_word_embeddings=False,
        **{name: tokenizer.convert_tokens_to_ids(token) for name, token in TOKENS.items()},
    )


def _dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _attention(device: torch.device) -> str:
    return "flash_attention_2" if device.type == "cuda" and is_flash_attn_2_available() else "sdpa"
