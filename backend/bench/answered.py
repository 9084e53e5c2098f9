"""Measures a full sync of many annotations against Label Studio's own export of the same ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backend.bench.report import Measure
from backend.bench.web import CONFIG
from backend.jobs.syncing import Syncing
from backend.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.label_studio.client import LabelStudioClient

ANNOTATED = 10_000
BATCH = 1000
LOOK_S = 0.2
LONGEST_S = 300.0
RESULT = [
    {"id": name, "from_name": name, "to_name": "video1", "type": "choices", "value": {"choices": ["Video 1"]}}
    for name in ("ta", "vq", "mq", "oa")
]


def measure_sync(client: LabelStudioClient, folder: Path) -> Iterator[Measure]:
    """How long both take for a project of annotated tasks, made here."""
    project = client.administration.create_project({"title": "Annotated", "label_config": CONFIG})
    data = {"video1": "http://h/a.mp4", "video2": "http://h/b.mp4", "prompt": "A red panda drinks tea." * 10}
    for _ in range(0, ANNOTATED, BATCH):
        rows = [{"data": data, "annotations": [{"result": RESULT, "lead_time": 12.0}]}] * min(BATCH, ANNOTATED)
        client.administration.import_tasks(project, rows)
    started = time.perf_counter()
    count = _exported(client, project)
    yield Measure(f"Label Studio exports {count:,} annotated tasks", time.perf_counter() - started, "s")
    ledger = Ledger.open(f"sqlite:///{folder}/annotated.db")
    try:
        synced = Syncing(ledger, client).fetch_all(client.project(project))
    finally:
        ledger.close()
    yield Measure(f"vrthinker sync of {synced.annotations:,} annotations", synced.seconds, "s")


def _exported(client: LabelStudioClient, project: int) -> int:
    """How many tasks Label Studio's own export held."""
    place = f"api/projects/{project}/exports/"
    made = client.connection.request("export", "POST", place, json={}, repeatable=False, timeout_s=LONGEST_S)
    while client.connection.request("look at the export", "GET", f"{place}{made['id']}")["status"] != "completed":
        time.sleep(LOOK_S)
    download = f"{place}{made['id']}/download"
    params = {"exportType": "JSON"}
    rows = client.connection.request("download the export", "GET", download, params=params, timeout_s=LONGEST_S)
    return len(rows)
