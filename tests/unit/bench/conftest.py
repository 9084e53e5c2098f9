"""A model of no size, and two drawn videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from backend.bench.clips import Shape, make_clip
from backend.bench.shape import SHAPES, Parts, random_model

if TYPE_CHECKING:
    from pathlib import Path

SMALLEST = (
    {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
    },
    {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "fullatt_block_indexes": [1]},
)


@pytest.fixture(scope="session")
def parts() -> Parts:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHAPES, "smallest", SMALLEST)
        return random_model("smallest", torch.device("cpu"))


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return make_clip("mpeg4", folder, Shape(24, 64, 48)), make_clip("mpeg4", folder, Shape(40, 64, 48))
