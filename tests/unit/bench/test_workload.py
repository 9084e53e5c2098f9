"""The measured write-back is the product's own, and says so when a task is left without its one prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.bench import workload
from backend.bench.web import CONFIG
from backend.bench.workload import measure_project
from backend.label_studio.client import LabelStudioClient
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio
from tests.unit.label_studio.servers import serving

if TYPE_CHECKING:
    from pathlib import Path


def test_every_figure_comes_out_against_a_label_studio_that_keeps_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload, "TASKS", 60)
    monkeypatch.setattr(workload, "TRIGGERED", 20)
    monkeypatch.chdir(tmp_path)
    fake = FakeLabelStudio()
    fake.project |= {"label_config": CONFIG, "model_version": workload.VERSION}

    def projects(method: str, path: str) -> tuple[int, dict[str, int]] | None:
        if (method, path) != ("POST", "/api/projects/"):
            return None
        fake.tasks.clear()
        fake.predictions.clear()
        return 201, {"id": 1}

    fake.fail = projects
    with serving(fake) as server:
        client = LabelStudioClient(server.url, "legacy-token")
        found = {one.name: one for one in measure_project(client, tmp_path, lambda: 0.0)}
        client.close()
    assert found["tasks without exactly one prediction"].value == 0
    assert found["orders in the queue for them beyond one each"].value == 0
    [triggered] = [one for name, one in found.items() if name.startswith("the same of 20")]
    assert triggered.value == 0
    assert found["predictions published"].value > 0
