"""Every error has a boundary, an audience and, where a task ends by it, a word of its own for the ledger."""

from __future__ import annotations

import inspect

import pytest

from backend import errors
from backend.errors import TaskError, VRThinkerError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
OF_TASKS = [kind for kind in ALL if issubclass(kind, TaskError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_one_of_ours_and_says_when_it_is_raised(kind: type[Exception]) -> None:
    assert issubclass(kind, VRThinkerError)
    assert kind.__doc__
    assert kind is VRThinkerError or kind.__name__.endswith("Error")


def test_every_task_error_has_a_reason_of_its_own() -> None:
    reasons = [kind.reason for kind in OF_TASKS]
    assert sorted(reasons) == sorted(set(reasons))
    assert all(reason.replace("_", "").isalpha() and reason.islower() for reason in reasons)


def test_what_may_pass_later_is_retryable_and_nothing_else() -> None:
    assert {kind.reason for kind in OF_TASKS if kind.retryable} == {
        *("media_unavailable", "engine_unavailable", "label_studio_unavailable", "worker_lost", "crashed"),
    }


@pytest.mark.parametrize(
    ("special", "general"),
    [
        (errors.MediaUnavailableError, errors.MediaError),
        (errors.EngineUnavailableError, errors.EngineError),
        (errors.LabelStudioUnavailableError, errors.LabelStudioError),
    ],
)
def test_unavailable_is_a_retryable_kind_of_its_boundary_s_error(
    special: type[TaskError], general: type[TaskError]
) -> None:
    assert issubclass(special, general)
    assert special.retryable
    assert not general.retryable
