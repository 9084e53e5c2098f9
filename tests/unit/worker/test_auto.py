"""New tasks are taken in by themselves, by webhook or without, once, and only where that was switched on."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import LabelStudioUnavailableError
from backend.intake import LedgerIntake
from backend.ledger import Automatic, State
from backend.worker.auto import AutoIntake
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio
from tests.unit.requests import CONFIG, FakeQueue, payload

if TYPE_CHECKING:
    from backend.label_studio.client import LabelStudioClient
    from backend.ledger import Ledger

VERSION = "tiny-1"


def data(number: int) -> dict[str, Any]:
    return {"data": {"video1": f"/a{number}.mp4", "video2": f"/b{number}.mp4", "prompt": "a red panda"}}


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def intake(ledger: Ledger, queue: FakeQueue) -> LedgerIntake:
    return LedgerIntake(ledger, queue, VERSION)


@pytest.fixture
def fake() -> FakeLabelStudio:
    fake = FakeLabelStudio(tasks={number: data(number) for number in range(1, 4)})
    fake.project |= {"label_config": CONFIG}
    return fake


@pytest.fixture
def auto(ledger: Ledger, client: LabelStudioClient, intake: LedgerIntake) -> AutoIntake:
    return AutoIntake(ledger, client, intake)


def test_only_tasks_added_since_it_was_switched_on_are_taken(
    auto: AutoIntake, fake: FakeLabelStudio, client: LabelStudioClient, ledger: Ledger, queue: FakeQueue
) -> None:
    assert auto.run() == 0
    ledger.take_automatically(1, after=client.newest_task(1))
    assert auto.run() == 0
    fake.tasks |= {4: data(4), 5: data(5)}
    assert [auto.run(), auto.run()] == [2, 0]
    assert queue.waiting == [4, 5]
    assert ledger.automatic() == [Automatic(1, after=3, to=5)]


def test_a_task_that_shows_up_late_with_a_smaller_id_is_found(
    auto: AutoIntake, fake: FakeLabelStudio, ledger: Ledger, queue: FakeQueue
) -> None:
    ledger.take_automatically(1, after=3)
    fake.tasks[9] = data(9)
    auto.run()
    fake.tasks[4] = data(4)
    auto.run()
    assert queue.waiting == [9, 4]


def test_corrected_tasks_under_the_ids_of_deleted_ones_are_found_and_judged_anew(
    auto: AutoIntake, fake: FakeLabelStudio, ledger: Ledger, queue: FakeQueue
) -> None:
    ledger.take_automatically(1, after=3)
    fake.tasks |= {number: data(number) for number in range(4, 206)}
    auto.run()
    for number in range(2, 206):
        del fake.tasks[number]
    assert auto.run() == 0
    assert ledger.automatic() == [Automatic(1, after=1, to=1)]
    queue.places.clear()
    fake.tasks |= {number: data(1000 + number) for number in range(2, 206)}
    assert auto.run() == 204
    assert queue.waiting == list(range(2, 206))


def test_cancelled_tasks_stay_cancelled(
    auto: AutoIntake, fake: FakeLabelStudio, ledger: Ledger, queue: FakeQueue
) -> None:
    ledger.take_automatically(1, after=3)
    fake.tasks[4] = data(4)
    auto.run()
    ledger.cancel(1)
    assert auto.run() == 0
    assert ledger.counts(1)[State.SKIPPED] == 1


def test_a_project_that_cannot_be_read_does_not_stop_the_others(
    auto: AutoIntake, fake: FakeLabelStudio, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.take_automatically(1, after=0)
    fake.project["label_config"] = "<View/>"
    assert auto.run() == 0
    assert "new tasks not taken in" in caplog.text


def test_it_looks_until_it_is_stopped(ledger: Ledger, intake: LedgerIntake) -> None:
    stopped, looks = Event(), []

    class Down:
        """A test double of a Label Studio that does not answer."""

        def project(self, project: int) -> Any:  # noqa: ANN401  # never returns
            raise LabelStudioUnavailableError("503")

        def tasks(self, project: int, *, filters: object = ()) -> Any:  # noqa: ANN401  # never returns
            raise LabelStudioUnavailableError("503")

        def newest_task(self, project: int) -> Any:  # noqa: ANN401  # never returns
            looks.append(project)
            if len(looks) == 3:
                stopped.set()
            raise LabelStudioUnavailableError("503")

    ledger.take_automatically(1, after=0)
    AutoIntake(ledger, Down(), intake).run_until(stopped, every_s=0.01)
    assert looks == [1, 1, 1]


@pytest.mark.parametrize(("automatic", "waiting"), [(True, [4, 5]), (False, [])])
def test_a_webhook_about_new_tasks_queues_them_where_auto_mode_is_on(
    intake: LedgerIntake, ledger: Ledger, queue: FakeQueue, automatic: bool, waiting: list[int]
) -> None:
    if automatic:
        ledger.take_automatically(1, after=3)
    told = payload("webhook_tasks_created")
    intake.hear("TASKS_CREATED", told)
    intake.hear("TASKS_CREATED", told)
    assert sorted(queue.waiting) == waiting
