"""What the hardware allows: its bandwidth and arithmetic, measured here and now, and the least a pass can cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 5
GPU_SIDE, CPU_SIDE = 8192, 2048  # of the square matrices that are multiplied
GPU_BYTES, CPU_BYTES = 4 << 30, 256 << 20  # read and written to measure bandwidth: far more than any cache holds
WINDOW_PATCHES = 64  # of 14 pixels, in the vision tower's windows of 112 x 112


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Of this machine in this run: bytes per second to and from memory, multiplications and additions per second."""

    bytes_per_s: float
    flops_per_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Floating-point operations, and bytes that have to come from memory."""

    flops: float
    bytes: float

    def least_seconds(self, ceilings: Ceilings) -> float:
        """No faster than either ceiling."""
        return max(self.flops / ceilings.flops_per_s, self.bytes / ceilings.bytes_per_s)


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """The best of several tries of one large matrix product, and of reading and of copying one large block."""
    gpu = device.type == "cuda"
    side, size = (GPU_SIDE, GPU_BYTES) if gpu else (CPU_SIDE, CPU_BYTES)
    left = torch.randn(side, side, device=device).to(dtype)
    product = torch.empty_like(left)
    multiplying = _fastest(lambda: torch.mm(left, left, out=product), device)
    block = torch.ones(size // dtype.itemsize // side, side, dtype=dtype, device=device)
    copy, vector = torch.empty_like(block), torch.ones(side, dtype=dtype, device=device)
    copying = _fastest(lambda: copy.copy_(block), device)
    reading = _fastest(lambda: torch.mv(block, vector), device)
    moved = block.numel() * dtype.itemsize
    return Ceilings(max(2 * moved / copying, moved / reading), 2 * side**3 / multiplying)


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(TRIES):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Arithmetic:
    """What passes through one model cost, from its configuration. Norms, rotations and activations are left out."""

    def __init__(self, config: Any, itemsize: int) -> None:  # noqa: ANN401  # the library has no types
        """`itemsize` is the size of one weight in bytes."""
        self._text, self._vision, self._itemsize = config.get_text_config(), config.vision_config, itemsize
        text, vision = self._text, self._vision
        self._heads = text.hidden_size // text.num_attention_heads * text.num_key_value_heads  # width of keys
        per_layer = 2 * text.hidden_size * (text.hidden_size + self._heads) + (
            3 * text.hidden_size * text.intermediate_size
        )
        self._decoder = text.num_hidden_layers * per_layer
        self._head = text.hidden_size * text.vocab_size
        self._merge = vision.spatial_merge_size**2
        merged = self._merge * vision.hidden_size
        self._tower = vision.depth * (4 * vision.hidden_size**2 + 3 * vision.hidden_size * vision.intermediate_size)
        self._embedding = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * vision.hidden_size
        self._merger = merged * (merged + vision.out_hidden_size)

    def vision(self, patches: int, pictures: int) -> Cost:
        """Encode `pictures` of so many patches together."""
        whole = len(self._vision.fullatt_block_indexes)
        seen = whole * patches / pictures + (self._vision.depth - whole) * WINDOW_PATCHES
        weights = self._tower + self._embedding
        flops = patches * (2 * weights + 4 * self._vision.hidden_size * seen) + 2 * patches / self._merge * self._merger
        return Cost(flops, (weights + self._merger) * self._itemsize)

    def text(self, rows: int, tokens: int, context: int) -> Cost:
        """Read `tokens` new tokens in each of `rows` conversations behind `context` known ones, and say one more."""
        text = self._text
        seen = tokens * context + tokens * (tokens + 1) / 2
        attention = 4 * text.hidden_size * text.num_hidden_layers * seen
        flops = rows * (2 * tokens * self._decoder + attention + 2 * self._head)
        known = 2 * text.num_hidden_layers * self._heads * (context + tokens)
        return Cost(flops, (self._decoder + self._head + rows * known) * self._itemsize)
