"""The publisher's job: an outcome into the ledger, and from there exactly once into Label Studio."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from rq.exceptions import StopRequested
from rq.timeouts import JobTimeoutException

from backend.errors import (
    JobCrashedError,
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreadableError,
    TaskDeletedError,
    VRThinkerError,
)
from backend.jobs.fitting import fitted
from backend.ledger import Key, Project, State
from backend.log import line
from backend.queue.workqueue import PUBLISH_TIMEOUT_S
from backend.wire import Outcome, from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.label_studio import records
    from backend.ledger import Claim, Ledger

logger = logging.getLogger(__name__)

BATCH = 1000  # rows written back together: Label Studio counts all tasks of a project anew after each batch
# A token can be renewed, and a proxy in front of Label Studio answers 404, a page or a redirect while that restarts.
NOT_ABOUT_THE_ROW = (LabelStudioUnauthorizedError, LabelStudioNotFoundError, LabelStudioUnreadableError)
OF_THE_WORKER = (JobTimeoutException, StopRequested)  # what RQ raises in the middle of anything
BATCH_LEASE = timedelta(seconds=PUBLISH_TIMEOUT_S + 60)  # longer than the job that writes a batch back may take


class Predictions(Protocol):
    """Label Studio, as write-back needs it; every method raises `LabelStudioError`."""

    def project(self, project: int) -> records.Project:
        """The project as it is now."""
        ...

    def predictions_of(self, task: int, model_version: str) -> Sequence[records.StoredPrediction]:
        """A task's predictions of one version, oldest first."""
        ...

    def create_prediction(self, prediction: records.NewPrediction) -> int:
        """Store one prediction; its id, once it was read back as sent."""
        ...

    def import_predictions(self, project: int, predictions: Sequence[records.NewPrediction]) -> records.Imported:
        """Store many of one version, verified; a task that holds one already keeps that."""
        ...

    def set_model_version(self, project: int, model_version: str) -> None:
        """Have the label stream show the predictions of this version, one of which is stored."""
        ...


class Publishing:
    """Write-back: one prediction per task and model version, valid for the project's config of this moment.

    `waiting` says how many further jobs there are: while there are some, judged rows are collected and written back
    together. They are in the ledger meanwhile, so nothing hangs on this process. `name` is this worker's, so that its
    leases can be ended when it has died.
    """

    def __init__(self, ledger: Ledger, label_studio: Predictions, waiting: Callable[[], int], name: str) -> None:
        self._name = name
        self._ledger = ledger
        self._label_studio = label_studio
        self._waiting = waiting
        self._collected: list[Key] = []

    def publish(self, outcome: object) -> None:
        """Record an outcome (as JSON); a judgement is then due for write-back.

        Raises:
            LedgerError: the ledger cannot be used; reconciling records the outcome later.
        """
        told = from_json(Outcome, outcome)
        key = Key(told.order.task.project, told.order.task.task, told.order.model_version)
        state = self._ledger.record(told)
        if told.failure is not None:
            place = {"project": key.project, "task": key.task, "attempt": told.order.attempt}
            logger.info(line("recorded", **place, state=state, reason=told.failure.reason))
        self._collect([key] if state is State.JUDGED else [])

    def republish(self, project: int, task: int, model_version: str) -> None:
        """Publish a row that is judged already.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        self._collect([Key(project, task, model_version)])

    def flush(self) -> None:
        """Write back what was collected."""
        keys, self._collected = self._collected, []
        if keys:
            self.write_back(keys)

    def _collect(self, keys: Sequence[Key]) -> None:
        self._collected += keys
        if len(self._collected) >= BATCH or not self._waiting():
            self.flush()

    def write_back(self, keys: Sequence[Key]) -> None:
        """Publish those of the rows that are open and that no other publisher holds; record why, where it fails."""
        groups: dict[tuple[int, str], list[Claim]] = defaultdict(list)
        for claim in self._ledger.claim_for_publishing(keys, self._name):
            groups[claim.key.project, claim.key.model_version].append(claim)
        for (project, _), claims in groups.items():
            self._try(project, claims)

    def _try(self, project: int, claims: Sequence[Claim]) -> None:
        """Write a group back; what nobody expected is narrowed down to the rows it comes from, which are postponed."""
        try:
            self._write_back(project, claims)
        except LabelStudioError as error:
            self._failed(claims, error)
        except (VRThinkerError, *OF_THE_WORKER):  # about no row
            raise
        except Exception as error:
            if len(claims) == 1:
                logger.exception(line("write-back crashed", project=project, task=claims[0].key.task))
                self._ledger.postpone(claims, _crash(error))
                return
            middle = len(claims) // 2
            for half in (claims[:middle], claims[middle:]):
                self._try(project, half)

    def _write_back(self, project_id: int, claims: Sequence[Claim]) -> None:
        """Make sure that the predictions of one project and version are there."""
        project = self._label_studio.project(project_id)
        known = self._ledger.calibration(project_id, claims[0].key.model_version)
        predictions = {}
        for claim in claims:
            try:
                prediction = fitted(project, claim, known.calibration if known else None)
            except LabelStudioError as error:
                self._failed([claim], error)
                continue
            except OF_THE_WORKER:
                raise
            except Exception as error:  # it depends on nothing but this row and the config: no later try would pass
                logger.exception(line("judgement not understood", project=project_id, task=claim.key.task))
                self._ledger.give_up(claim, _crash(error))
                continue
            if prediction is None:
                self._ledger.hide(claim)
                logger.info(line("hidden", project=project_id, task=claim.key.task))
            else:
                predictions[claim.key] = prediction
        open_claims = [claim for claim in claims if claim.key in predictions]
        if len(open_claims) == 1:
            self._write_one(open_claims[0], predictions[open_claims[0].key])
        elif open_claims:
            self._write_many(project_id, open_claims, predictions)
        if open_claims:
            self._show(project, open_claims[0].key.model_version)
        self._ledger.remember_project(Project(project.id, project.title, project.label_config))

    def _write_one(self, claim: Claim, prediction: records.NewPrediction) -> None:
        # A publisher that died may have posted it: so look first, always.
        stored = self._label_studio.predictions_of(claim.key.task, claim.key.model_version)
        if stored:
            number = stored[0].id
        elif self._ledger.renew([claim]):
            number = self._label_studio.create_prediction(prediction)
        else:
            return  # another publisher took over
        self._published({claim.key: number})

    def _write_many(
        self, project_id: int, claims: Sequence[Claim], predictions: dict[Key, records.NewPrediction]
    ) -> None:
        held = {claim.key.task: claim for claim in self._ledger.renew(claims, BATCH_LEASE)}
        sent = [predictions[claim.key] for claim in held.values()]
        imported = self._label_studio.import_predictions(project_id, sent)
        self._published({held[task].key: number for task, number in imported.stored.items()})
        for task, error in imported.refused.items():
            self._failed([held[task]], error)

    def _show(self, project: records.Project, model_version: str) -> None:
        """Without this the label stream shows no predictions; Label Studio takes only a version that is stored."""
        if project.model_version == model_version:
            return
        try:
            self._label_studio.set_model_version(project.id, model_version)
        except LabelStudioError as error:  # the predictions are there all the same; the next batch tries again
            logger.warning(line("label stream not set", project=project.id, version=model_version, message=error))

    def _published(self, numbers: dict[Key, int]) -> None:
        self._ledger.mark_all_published(numbers)
        for key, number in numbers.items():
            logger.info(line("published", project=key.project, task=key.task, prediction=number))

    def _failed(self, claims: Sequence[Claim], error: LabelStudioError) -> None:
        if isinstance(error, TaskDeletedError):
            for claim in claims:
                self._ledger.skip(claim.key.project, [claim.key.task], error.reason, str(error))
        elif error.retryable or isinstance(error, NOT_ABOUT_THE_ROW):
            # The judgements took minutes of a GPU.
            self._ledger.postpone(claims, error)
        else:
            for claim in claims:
                self._ledger.give_up(claim, error)
        for claim in claims:
            place = {"project": claim.key.project, "task": claim.key.task}
            logger.warning(line("not published", **place, reason=error.reason, message=error))


def _crash(error: Exception) -> JobCrashedError:
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return JobCrashedError(f"Write-back ended with an unexpected error: {said}. The publisher's log has the details.")
