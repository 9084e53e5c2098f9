"""Every failure this package raises, named by the boundary that was crossed.

Three audiences: a reply the model got wrong is data (`types.Malformed`), never an exception; a `TaskError` ends one
task and is recorded with its `reason`; every other `VRThinkerError` is for the
operator and stops the process or command.
"""

from __future__ import annotations


class VRThinkerError(Exception):
    """Base of all errors raised on purpose; its text says what, which value, and what to do next."""


class SettingsError(VRThinkerError):
    """An environment variable or option is missing or out of range."""


class CheckpointError(VRThinkerError):
    """A model checkpoint cannot be loaded: wrong architecture, missing shard, unknown revision."""


class LedgerError(VRThinkerError):
    """The ledger's database cannot be reached or holds another schema version."""


class QueueError(VRThinkerError):
    """Redis cannot be reached or refuses work."""


class LabelConfigError(VRThinkerError):
    """A labeling config lacks what pairwise judging needs; the text is shown to the person in Label Studio."""


class ExportError(VRThinkerError):
    """A dataset or report cannot be written."""


class NoMatchError(VRThinkerError):
    """A filter was understood, and no task of the project meets it."""


class NothingToExportError(ExportError):
    """No answer is left after the selection; says what was left out and why."""


class ServiceError(VRThinkerError):
    """A process that the demo needs cannot be installed or started, ended early, or does not answer."""


class BenchError(VRThinkerError):
    """What a bench started did not do what was to be measured."""


class TaskError(VRThinkerError):
    """One task cannot be judged or published.

    `reason` is a stable word for grouping in the ledger; `retryable` says whether the same order may pass later.
    """

    reason = "task"
    retryable = False


class TaskDataError(TaskError):
    """The task's own data is unusable: no video, no prompt, wrong kinds."""

    reason = "task_data"


class MediaError(TaskError):
    """A video cannot be had: 404, refused address, too large, not a video, no readable frame."""

    reason = "media"


class MediaUnavailableError(MediaError):
    """A video cannot be had right now: time-out, connection refused, 5xx."""

    reason = "media_unavailable"
    retryable = True


class EngineError(TaskError):
    """The engine failed on this conversation: out of memory, a refused request, a broken reply stream."""

    reason = "engine"


class EngineUnavailableError(EngineError):
    """The engine cannot answer right now: server down, 429, 5xx."""

    reason = "engine_unavailable"
    retryable = True


class NoAnswerError(TaskError):
    """The model ended its turns without a usable answer."""

    reason = "no_answer"


class VersionMismatchError(TaskError):
    """An order names another model version than this worker's."""

    reason = "version_mismatch"


class LabelStudioError(TaskError):
    """Label Studio refused a request for good: deleted task, invalid prediction, missing permission."""

    reason = "label_studio"


class LabelStudioNotFoundError(LabelStudioError):
    """Label Studio has no such project, task or prediction (any more), or not for this user."""

    reason = "label_studio_not_found"


class TaskDeletedError(LabelStudioNotFoundError):
    """Label Studio knows the project, and has no such task in it any more."""

    reason = "task_deleted"


class LabelStudioUnauthorizedError(LabelStudioError):
    """Label Studio does not accept the API key, or its user may not do this."""

    reason = "label_studio_unauthorized"


class LabelStudioUnavailableError(LabelStudioError):
    """Label Studio cannot be reached right now: connection refused, time-out, 5xx."""

    reason = "label_studio_unavailable"
    retryable = True


class LabelStudioUnreadableError(LabelStudioError):
    """What answers is no Label Studio that this package can read: a proxy's page, a redirect, another release."""

    reason = "label_studio_unreadable"


class ConfigChangedError(LabelStudioError):
    """The project's labeling config no longer fits the judgement; it was changed after the task was queued."""

    reason = "label_config"


class WorkerLostError(TaskError):
    """The process that worked on this task died; final when it happened as often as is allowed."""

    reason = "worker_lost"
    retryable = True


class JobCrashedError(TaskError):
    """A job raised what nobody expected, or ran out of time; final when it happened as often as is allowed."""

    reason = "crashed"
    retryable = True


def reasons_of(kind: type[TaskError] = TaskError) -> frozenset[str]:
    """Every reason that a task may fail for: that of the kind and of those below it."""
    return frozenset({kind.reason}).union(*map(reasons_of, kind.__subclasses__()))
