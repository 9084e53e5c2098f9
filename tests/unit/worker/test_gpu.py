"""What a worker tells about the device that its model runs on."""

from __future__ import annotations

import pytest
import torch

from backend.settings import Settings
from backend.worker.gpu import device_of, memory_of


@pytest.mark.parametrize(
    ("chosen", "device"),
    [
        ({"device": "cpu"}, "cpu"),
        ({"engine": "openai", "openai_base_url": "http://vllm:8000/v1"}, "http://vllm:8000/v1"),
        ({"device": "mps"}, "mps"),
    ],
)
def test_without_a_gpu_of_its_own_there_is_no_memory_to_tell(chosen: dict[str, str], device: str) -> None:
    settings = Settings(_env_file=None, **chosen)  # type: ignore[arg-type]  # pydantic checks the values
    assert device_of(settings) == device
    assert memory_of(settings) == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto means a GPU here")
def test_auto_without_a_gpu_is_the_cpu() -> None:
    assert device_of(Settings(_env_file=None)) == "cpu"
    assert memory_of(Settings(_env_file=None)) == {}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
def test_a_gpu_is_told_by_name_with_its_memory(device: str) -> None:
    settings = Settings(_env_file=None, device=device)
    memory = {name: int(value) for name, value in memory_of(settings).items()}
    assert device_of(settings) == f"cuda:0 {torch.cuda.get_device_name(0)}"
    assert 0 < memory["memory_free"] <= memory["memory_total"]
