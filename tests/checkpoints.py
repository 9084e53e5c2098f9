"""Checkpoints for tests: one with random weights to write, and any of them loaded for both loops."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoImageProcessor, AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from backend.engines.local.batch import greedy
from backend.engines.local.engine import LocalEngine
from backend.training.tiny.blueprint import Untrained, untrained

if TYPE_CHECKING:
    from pathlib import Path

    from backend.engines.local.batch import Choose


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint's three parts, in the library's own classes."""

    model: Any
    tokenizer: Any
    image_processor: Any

    def engine(self, *, batch: int = 1, choose: Choose = greedy) -> LocalEngine:
        """A new engine around them, which has read nothing yet."""
        return LocalEngine(self.model, self.tokenizer, self.image_processor, batch=batch, choose=choose)


def load_checkpoint(folder: Path) -> Checkpoint:
    """In float32 on the CPU, the precision in which both loops must agree to the token."""
    return Checkpoint(
        Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval(),
        AutoTokenizer.from_pretrained(folder),
        AutoImageProcessor.from_pretrained(folder, backend="pil"),
    )


def write_random_checkpoint(folder: Path, *, seed: int, repetition_penalty: float = 1.0) -> Path:
    """Write a checkpoint with random weights: nonsense, but never twice the same.

    Unlike the shipped one it has full attention in its vision tower and sampling defaults, as the real ones have.
    """
    parts = untrained(seed)
    settings = parts.model.config.to_dict()
    settings["tie_word_embeddings"] = False
    settings["vision_config"] |= {
        "fullatt_block_indexes": [1],
        "intermediate_size": 64,
        "hidden_size": 32,
        "num_heads": 2,
    }
    settings["vision_config"]["out_hidden_size"] = settings["text_config"]["hidden_size"] = 64
    settings["text_config"] |= {"intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": 65536}
    del settings["text_config"]["layer_types"]
    settings["text_config"]["rope_parameters"]["mrope_section"] = [2, 3, 3]
    torch.manual_seed(seed)
    model: Any = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**settings))
    with torch.no_grad():
        # Spread out, so that the best token is never a matter of rounding.
        for name, weights in model.named_parameters():
            if weights.dim() >= 2:
                weights.normal_(0, 0.6) if "lm_head" in name else weights.mul_(2)
    model.generation_config = parts.model.generation_config
    Untrained(model, parts.tokenizer, parts.image_processor).save(folder)
    generation = folder / "generation_config.json"
    sampling = {"do_sample": True, "temperature": 1e-6, "repetition_penalty": repetition_penalty}
    generation.write_text(json.dumps(json.loads(generation.read_text()) | sampling))
    return folder
