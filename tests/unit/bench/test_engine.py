"""The engine bench compares equal work, and counts it rightly."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
import torch
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from backend.bench import engine
from backend.bench.card import CardLoop
from backend.bench.engine import bench_engine
from backend.bench.limit import Arithmetic, Ceilings, Cost, measure_ceilings
from backend.bench.report import engine_tables
from backend.bench.shape import SHAPES, device_of, load, random_model
from backend.bench.transcript import Forcing, write_transcript
from backend.errors import CheckpointError, SettingsError, VRThinkerError
from backend.reasoning.contract import VRTHINKER_128
from tests.checkpoints import Checkpoint
from tests.reference_loop import SoughtVideos, hold_reference_conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backend.bench.engine import Videos, Way
    from backend.bench.shape import Parts


def test_the_yardstick_says_and_reads_what_the_independent_restatement_of_the_card_does(
    parts: Parts, videos: tuple[Path, Path]
) -> None:
    transcript = write_transcript(parts.tokenizer, VRTHINKER_128, turns=3, tokens=20, indices=3)
    checkpoint = Checkpoint(parts.model, parts.tokenizer, parts.image_processor)
    with Forcing(parts, transcript) as ours:
        replies = CardLoop(parts).hold(videos, "A cat.", lambda: None)
    with Forcing(parts, transcript) as theirs:
        assert hold_reference_conversation(checkpoint, SoughtVideos(videos), "A cat.") == replies
    assert torch.equal(ours.log_probabilities(), theirs.log_probabilities())


def test_both_ways_do_equal_work_and_ours_does_less_of_it(parts: Parts, videos: tuple[Path, Path]) -> None:
    transcript = write_transcript(parts.tokenizer, VRTHINKER_128, turns=3, tokens=20, indices=2)
    told: list[str] = []
    bench = bench_engine(parts, videos, transcript, observe=told.append)
    card, ours = bench.runs
    assert bench.disagreement < 1e-4
    assert [turn.pictures for turn in card.turns] == [8, 12, 16]
    assert [turn.pictures for turn in ours.turns] == [8, 4, 4]
    assert card.turns[2].read > card.turns[1].read > card.turns[0].read > ours.turns[1].read
    assert card.said_tokens == ours.said_tokens == bench.transcript["tokens said"]
    for run in bench.runs:
        assert run.seconds == pytest.approx(sum(run.stages.values()))
        assert min(run.stages.values()) > 0
        assert all(0 < run.least[stage] < run.stages[stage] for stage in run.least)
    assert told[1:] == [f"{way}: {what}" for way in ("card", "engine") for what in ("warming up", "try 1 of 1")]
    saved = json.loads(json.dumps(bench.as_json()))
    assert saved["runs"][1]["ratio"] == pytest.approx(card.seconds / ours.seconds)
    printed = io.StringIO()
    for table in engine_tables(bench):
        Console(file=printed, width=200).print(table)
    assert f"{ours.pairs_per_hour:.0f}" in printed.getvalue()


def test_ways_that_did_other_work_are_not_compared(
    parts: Parts, videos: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pictures the other way round are enough."""
    transcript = write_transcript(parts.tokenizer, VRTHINKER_128, turns=2, tokens=5, indices=1)
    right = engine._engine_way

    def wrong(parts: Parts) -> Way:
        way = right(parts)

        def exchanged(pairs: Sequence[Videos], next_turn: Callable[[], None]) -> float:
            return way([(two, one) for one, two in pairs], next_turn)

        return exchanged

    monkeypatch.setattr(engine, "_engine_way", wrong)
    with pytest.raises(VRThinkerError, match="did not do the same work"):
        bench_engine(parts, videos, transcript)


@pytest.fixture
def eager(parts: Parts) -> Iterator[Parts]:
    """With attention written out, because torch does not count inside its fast one on a CPU."""
    parts.model.set_attn_implementation("eager")
    yield parts
    parts.model.set_attn_implementation("sdpa")


@pytest.mark.parametrize("pictures", [1, 3])
def test_the_arithmetic_of_vision_is_what_torch_counts(eager: Parts, pictures: int) -> None:
    grid = torch.tensor([[1, 16, 24]] * pictures)
    patches = int(grid.prod(-1).sum())
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        eager.model.model.visual(torch.randn(patches, 3 * 2 * 14 * 14), grid_thw=grid)
    expected = Arithmetic(eager.model.config, 4).vision(patches, pictures).flops
    assert counted.get_total_flops() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("rows", "tokens"), [(1, 200), (3, 50), (2, 1)])
def test_the_arithmetic_of_text_is_what_torch_counts_besides_masked_attention(
    eager: Parts, rows: int, tokens: int
) -> None:
    ids = torch.ones(rows, tokens, dtype=torch.long)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        eager.model(input_ids=ids, attention_mask=torch.ones_like(ids), logits_to_keep=1)
    text = eager.model.config.get_text_config()
    masked = 4 * text.hidden_size * text.num_hidden_layers * rows * tokens * (tokens - 1) / 2
    expected = Arithmetic(eager.model.config, 4).text(rows, tokens, 0).flops + masked
    assert counted.get_total_flops() == pytest.approx(expected, rel=0.02)


def test_a_step_reads_every_weight_once_and_each_row_its_own_past(parts: Parts) -> None:
    text = parts.model.config.get_text_config()
    arithmetic = Arithmetic(parts.model.config, 2)
    weights = sum(
        weight.numel()
        for name, weight in parts.model.model.language_model.layers.named_parameters()
        if weight.dim() > 1
    )
    step = arithmetic.text(1, 1, 0).bytes
    assert step == pytest.approx(2 * (weights + parts.model.lm_head.weight.numel()), rel=0.01)
    keys_and_values = 2 * 2 * text.num_hidden_layers * 32  # two heads of 16 for each
    assert arithmetic.text(3, 1, 1000).bytes - arithmetic.text(3, 1, 0).bytes == 3 * 1000 * keys_and_values


def test_the_least_time_is_that_of_the_ceiling_that_is_hit_first() -> None:
    ceilings = Ceilings(bytes_per_s=10.0, flops_per_s=100.0)
    assert Cost(flops=1000.0, bytes=1.0).least_seconds(ceilings) == 10.0
    assert Cost(flops=1.0, bytes=50.0).least_seconds(ceilings) == 5.0


def test_ceilings_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.bench.limit.CPU_BYTES", 1 << 22)
    monkeypatch.setattr("backend.bench.limit.CPU_SIDE", 256)
    ceilings = measure_ceilings(torch.device("cpu"), torch.float32)
    assert ceilings.bytes_per_s > 1e8
    assert ceilings.flops_per_s > 1e8


def test_the_7b_s_shape_has_the_7b_s_size() -> None:
    with torch.device("meta"):
        model = random_model("7b", torch.device("meta")).model
    assert round(model.num_parameters() / 1e9, 1) == 8.3


def test_the_cpu_shape_has_at_least_ten_million_parameters() -> None:
    assert random_model("cpu", torch.device("cpu")).model.num_parameters() >= 10_000_000


def test_what_cannot_be_had_is_told() -> None:
    cpu = torch.device("cpu")
    with pytest.raises(SettingsError, match=r"--shape is 'huge'\. Use one of: 7b, cpu"):
        random_model("huge", cpu)
    with pytest.raises(CheckpointError, match="/nowhere"):
        load("/nowhere", cpu)
    assert device_of("cpu") == cpu
    assert set(SHAPES) == {"7b", "cpu"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")
def test_a_gpu_that_is_not_here_is_refused() -> None:
    with pytest.raises(SettingsError, match="no CUDA GPU here"):
        device_of("cuda:0")
