"""The engine on a GPU: bf16 over whatever is there, float32 equal to the card's loop, failures said clearly."""

from __future__ import annotations

import pytest
import torch

from backend.engines.local import loading
from backend.engines.local.loading import load_engine
from backend.errors import SettingsError
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.settings import BUNDLED_CHECKPOINT
from backend.training.tiny.measure import measure
from tests.checkpoints import Checkpoint, load_checkpoint, write_random_checkpoint
from tests.parity.generation import long_conversation
from tests.parity.pictures import SmallVideos
from tests.parity.test_parity import PROMPTS, assert_equal, ours, theirs

pytestmark = [
    pytest.mark.gpu,
    # No machine of the CI has one, so this skips there too.
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here"),
]


@pytest.fixture(scope="module", params=[1.0, 1.05], ids=["plain", "repetition penalty"])
def on_gpu(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("random")
    loaded = load_checkpoint(write_random_checkpoint(folder, seed=5, repetition_penalty=request.param))
    loaded.model.cuda()
    return loaded


@pytest.mark.parametrize(("turns", "prompt"), list(zip((6, 1, 6, 3), PROMPTS, strict=True)))
def test_float32_conversations_are_equal_to_the_card_s_loop(turns: int, prompt: str, on_gpu: Checkpoint) -> None:
    scripts = long_conversation(seed=turns + len(prompt), turns=turns, most=12)
    videos = SmallVideos(turns)
    assert_equal(ours(on_gpu, videos, prompt, scripts), theirs(on_gpu, videos, prompt, scripts))


def test_weights_are_bf16_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.dtype, str]] = []
    monkeypatch.setattr(loading, "LocalEngine", lambda model, *_, **__: seen.append((model.dtype, model.device.type)))
    load_engine(str(BUNDLED_CHECKPOINT))
    load_engine(str(BUNDLED_CHECKPOINT), device="cuda:0")
    assert seen == [(torch.bfloat16, "cuda")] * 2


def test_the_small_checkpoint_keeps_to_the_protocol_in_bf16() -> None:
    measured = measure(load_engine(str(BUNDLED_CHECKPOINT)), seed=99, pairs=8)
    assert measured.answered == measured.pairs


def test_a_gpu_that_is_not_here_is_refused() -> None:
    with pytest.raises(SettingsError, match="DEVICE is 'cuda:99'"):
        load_engine(str(BUNDLED_CHECKPOINT), device="cuda:99")


def test_memory_is_given_back_when_the_frames_are_gone(on_gpu: Checkpoint) -> None:
    engine = on_gpu.engine()
    judge(engine, SmallVideos(1), VRTHINKER_128, "A cat.", model_version="gpu")
    assert len(engine._batch._gallery) == 0
