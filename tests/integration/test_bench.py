"""The benches that start real processes: every figure of theirs still comes, here from a small amount of work."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from backend.bench import pipeline, web
from backend.errors import BenchError, MediaError
from backend.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little work: what is shown is that a bench still runs, not how fast."""
    for name, value in {"MANY": 40, "SOME": 20, "PAIRS": 3, "FEW": 2, "LONGEST_WAIT_S": 100.0}.items():
        monkeypatch.setattr(pipeline, name, value)
    monkeypatch.setattr(pipeline, "ENQUEUE_GRACE", timedelta(0))
    monkeypatch.setattr(web, "HEALTH_CHECKS", 10)
    monkeypatch.setattr(web, "STATUS_PAGES", 2)


@pytest.mark.usefixtures("small")
def test_the_pipeline_bench_takes_pairs_all_the_way_and_a_killed_workers_task_on(tmp_path: Path) -> None:
    with pipeline.prepared(tmp_path) as bench:
        found = {measure.name: measure.value for measure in pipeline.measure(bench, kills=1)}
    assert len(found) == 15
    assert all(value > 0 for value in found.values())
    assert found["a killed worker's task is begun by another, mean of 1"] < 100


def test_the_pipeline_bench_says_at_once_why_a_task_failed(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    ledger.reject_all([(1, 1, MediaError("Video 1 is gone."))], "a-version")
    with pytest.raises(BenchError, match=r"1 of 3 tasks failed: Video 1 is gone\."):
        pipeline._published(ledger, 3)
    ledger.close()


@pytest.mark.usefixtures("small")
def test_the_web_bench_asks_everything_of_a_real_web_process(tmp_path: Path) -> None:
    with web.running_web(tmp_path) as running:
        found = list(web.measure(running))
    assert len(found) == 17
    assert all(measure.value > 0 for measure in found if "CPU time" not in measure.name)
