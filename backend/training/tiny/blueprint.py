"""An untrained checkpoint of the real classes, small enough to ship: tokenizer, image processor, model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from backend.training.tiny.lesson import CONTRACT, FOREIGN, WORDS, draw_pair, replies
from backend.training.tiny.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from transformers import Qwen2Tokenizer

PATCH = 14
WINDOW = 112
VOCABULARY = 1500
COLOR_FREQUENCIES = 10
# About 1 / sqrt(width): the library's default is meant for far wider models.
SPREAD = 0.07


@dataclass(frozen=True, slots=True)
class Untrained:
    """A checkpoint's three parts, in memory."""

    model: Qwen2_5_VLForConditionalGeneration
    tokenizer: Qwen2Tokenizer
    image_processor: Qwen2VLImageProcessorPil

    def save(self, folder: Path) -> None:
        """Write a checkpoint folder with weights in bfloat16."""
        self.model.to(torch.bfloat16).save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)


def untrained(seed: int) -> Untrained:
    """The three parts with random weights."""
    tokenizer = train_tokenizer(_texts(seed), VOCABULARY)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(tokenizer))
    _see_frequencies(model.model.visual.patch_embed.proj.weight)
    end, nothing = (tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>"))
    model.generation_config = GenerationConfig(
        bos_token_id=nothing, pad_token_id=nothing, eos_token_id=[end, nothing], do_sample=False
    )
    return Untrained(model, tokenizer, Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=12845056))


def _see_frequencies(patch_embedding: torch.nn.Parameter) -> None:
    """Give the first layer the lowest spatial frequencies of a patch, as in JPEG, and leave it so.

    Finding such filters by gradient descent would take most of the training. Higher ones weigh more, because pictures
    hold less of them: noise and blur show there.
    """
    width, _channels, moments, side, _ = patch_embedding.shape
    place = np.arange(side)
    waves = np.stack([np.cos(np.pi * (place + 0.5) * k / side) * np.sqrt((1 + (k > 0)) / side) for k in range(side)])
    lowest = sorted(np.ndindex(side, side), key=sum)
    gray, warm, green = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
    tinted = [(tint, *k) for k in lowest[:COLOR_FREQUENCIES] for tint in (warm, green)]
    chosen = [(gray, *k) for k in lowest[: width - len(tinted)]] + tinted
    filters = [
        (1 + 2 * (row + column)) * np.einsum("c,y,x->cyx", tint, waves[row], waves[column])
        for tint, row, column in chosen
    ]
    stacked = torch.tensor(np.stack(filters), dtype=patch_embedding.dtype).unsqueeze(2)
    patch_embedding.data = stacked.repeat(1, 1, moments, 1, 1) / moments
    patch_embedding.requires_grad_(False)


def _texts(seed: int) -> Iterator[str]:
    """What the tokenizer is learnt from: the contract, the replies, prompts."""
    rng = np.random.default_rng(seed)
    yield from [CONTRACT.system, CONTRACT.question, CONTRACT.tool_response, CONTRACT.answer_now] * 4
    yield from [" ".join(WORDS), "\n".join(FOREIGN)] * 2
    for _ in range(500):
        pair = draw_pair(rng)
        yield from [pair.prompt, *replies(pair)]


def _config(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    special = dict(
        zip(
            ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"),
            tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]),
            strict=True,
        )
    )
    width = 128
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": width,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "initializer_range": SPREAD,
            # More of the rotary pairs than usual for time: which picture it is matters most here.
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 4, 4]},
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "out_hidden_size": width,
            "patch_size": PATCH,
            "window_size": WINDOW,
            # Every layer looks within windows, so that a window alone is encoded exactly as inside its picture.
            "fullatt_block_indexes": [],
            "tokens_per_second": 2,
            "initializer_range": SPREAD,
        },
        tie_word_embeddings=True,
        **special,
    )
