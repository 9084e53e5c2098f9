"""Attention of new tokens that stand behind known ones, without writing out which may look at which.

Torch's fast attention knows two patterns: everything is visible, or new tokens see each other causally. Reading a turn
behind the earlier ones is the first over what is known and the second over what is new; the two halves are joined by
their sums. A mask written out costs twice the time of it, and memory for each pair of tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration

NAME = "sdpa_behind_known"


def use_fast_reading(model: Qwen2_5_VLForConditionalGeneration) -> bool:
    """Have a language model on the CPU read without masks; False where another attention was chosen for it."""
    text = model.model.language_model.config
    if model.device.type != "cpu" or text._attn_implementation not in {"sdpa", NAME}:
        return False
    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
    text._attn_implementation = NAME
    return True


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,  # noqa: ANN401  # handed on to the library as they came
) -> tuple[torch.Tensor, None]:
    """As the library's own, and without a mask also for new tokens behind known ones: [rows, new, heads, width]."""
    new, known = query.shape[2], key.shape[2] - query.shape[2]
    if attention_mask is None and new == 1:
        return _one(query, key, value, options.get("scaling")), None
    if attention_mask is not None or known == 0:
        shown: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return shown
    keys, values = (repeat_kv(one, module.num_key_value_groups) for one in (key, value))
    scale = options.get("scaling")
    before, sum_before = _part(query, keys[:, :, :known], values[:, :, :known], scale, causal=False)
    among, sum_among = _part(query, keys[:, :, known:], values[:, :, known:], scale, causal=True)
    weight = torch.sigmoid(sum_before - sum_among)[..., None]
    joined = torch.lerp(among, before, weight.to(among.dtype))
    return joined.transpose(1, 2).contiguous(), None


def _one(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None) -> torch.Tensor:
    """One token that sees everything: heads that share keys ask together, so that those are read once."""
    rows, heads, new, width = query.shape
    together = query.reshape(rows, key.shape[1], -1, width)
    attended = torch.nn.functional.scaled_dot_product_attention(together, key, value, scale=scale)
    return attended.reshape(rows, new, heads, width)


def _part(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, *, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention to a part of the tokens, [rows, heads, new, width], and the logarithm of its weights' sum."""
    attended, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, scale=scale
    )
    return attended, sums
