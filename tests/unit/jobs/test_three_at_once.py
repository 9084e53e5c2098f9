"""Whatever is triggered three times at once leaves one prediction per task."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backend.intake import LedgerIntake
from backend.jobs.publishing import BATCH, Publishing
from backend.label_studio.client import LabelStudioClient
from backend.ledger import Key, Ledger, State
from backend.preannotate import take_in
from tests.unit.jobs.desk import CONFIG, VERSION, judged
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio
from tests.unit.label_studio.servers import serving
from tests.unit.requests import FakeQueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TASKS = range(1, BATCH + 51)


def at_once(works: list[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def data(number: int) -> dict[str, Any]:
    return {"video1": f"/a{number}.mp4", "video2": f"/b{number}.mp4", "prompt": "a dog runs"}


@pytest.mark.parametrize("lost", [0, 7], ids=["all taken", "every seventh dropped by the bulk endpoint"])
def test_predict_preannotate_and_write_back_three_times_at_once(tmp_path: Path, lost: int) -> None:
    fake = FakeLabelStudio(tasks={number: {"data": data(number)} for number in TASKS})
    fake.project |= {"label_config": CONFIG, "model_version": VERSION}
    fake.dropped = lambda prediction: bool(lost) and prediction["task"] % lost == 0
    ledger, queue = Ledger.open(f"sqlite:///{tmp_path}/ledger.db"), FakeQueue()
    with serving(fake) as server:
        client = LabelStudioClient(server.url, "legacy-token")
        raw = [{"id": number, "data": data(number)} for number in TASKS]

        def predict() -> None:
            LedgerIntake(ledger, queue, VERSION).accept(1, CONFIG, raw)

        def preannotate() -> None:
            list(take_in(client, ledger, queue, VERSION, 1))

        at_once([predict, preannotate] * 3)
        assert ledger.counts(1)[State.QUEUED] == len(TASKS)
        keys = [Key(1, number, VERSION) for number in TASKS]
        for order in ledger.orders(keys):
            ledger.record(replace(judged(order.task.task), order=order))

        def publish() -> None:
            publishing = Publishing(ledger, client, lambda: 0, name="publisher")
            for start in range(0, len(keys), BATCH):
                publishing.write_back(keys[start : start + BATCH])

        at_once([publish] * 3)
        client.close()
    assert sorted(one["task"] for one in fake.predictions) == list(TASKS)
    assert ledger.counts(1)[State.PUBLISHED] == len(TASKS)
    ledger.close()
