"""The label-studio-ml model class, under both generations of that library.

1.0.9 (the package index) makes one model per process as `Model(label_config=..., hostname=..., access_token=...)` and
calls `predict(tasks, login=..., password=..., context=...)` and `fit((), event=..., data=...)`. 2.x (its repository)
makes one per request as `Model(project_id=..., label_config=...)`, which calls `setup()`, and then asks it for
`predict(tasks, context=..., login=..., password=...)`, `fit(event, data)` or `get("model_version")`. The class below
takes all of it and decides nothing: an `Intake` does.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from backend.errors import LabelConfigError
from backend.label_studio.webhook import HINTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_TRAINING = "START_TRAINING"
"""What the button of that name sends: a person's wish, not a hint. Here it means: export what people corrected."""

MAX_ID = 2**63 - 1  # what every database takes as an id
MAX_DIGITS = len(str(MAX_ID))


class Intake(Protocol):
    """What takes in the work and the news that Label Studio sends."""

    @property
    def model_version(self) -> str:
        """The version of every prediction this backend makes."""
        ...

    def setup(self, project: int | None, label_config: str) -> None:
        """Check a labeling config, and remember it for its project where that is known.

        Raises:
            LabelConfigError: pairwise judging is not possible with it.
        """
        ...

    def accept(
        self, project: int | None, label_config: str, tasks: Sequence[object], *, context: object = None
    ) -> list[list[dict[str, Any]]]:
        """Take in tasks; the answer is what there is to show for each of them at once, mostly nothing.

        `project` is None where the host does not say; each task names its own.

        Raises:
            LabelConfigError: no task of this config can be judged.
            LedgerError: nothing was recorded.
        """
        ...

    def hear(self, event: str, data: Mapping[str, Any]) -> None:
        """Take in news from Label Studio."""
        ...


class _PairwiseModel:
    """Our half of the model class: everything that both generations call."""

    intake: ClassVar[Intake]
    TRAIN_EVENTS: ClassVar[tuple[str, ...]] = (*HINTS, START_TRAINING)

    def __init__(self, project_id: str | int | None = None, label_config: str | None = None, **_host: object) -> None:
        """`_host` is what 1.0.9 adds; the access token among it is dropped here and kept nowhere.

        Raises:
            LabelConfigError: the labeling config is not for pairwise judging.
        """
        self._project = project_number(project_id)
        self._values: dict[str, str] = {}
        if label_config is not None:
            self.intake.setup(self._project, label_config)
        try:
            super().__init__(project_id=project_id, label_config=label_config)  # type: ignore[call-arg]  # the library's
        except Exception as error:  # the library raises whatever its XML parsers raise
            raise LabelConfigError(
                f"label-studio-ml cannot read the labeling config: {error}. Open it in Label Studio and save it again."
            ) from error
        self.setup()

    def setup(self) -> None:
        """Name the version that `/setup` answers: Label Studio skips tasks that hold a prediction of just this one."""
        self.set("model_version", self.intake.model_version)

    def get(self, key: str) -> str | None:
        """A value that was set on this object; 2.x would read a SQLite file in the working directory."""
        return self._values.get(key)

    def set(self, key: str, value: str) -> None:
        """Keep a value as long as this object: whatever has to last is in the ledger."""
        self._values[key] = value

    def has(self, key: str) -> bool:
        """Whether a value was set."""
        return key in self._values

    def set_extra_params(self, extra_params: object) -> None:
        """Nothing: the extra parameters of a connection have no meaning here, and may hold a secret."""

    def predict(
        self, tasks: Sequence[object], context: object = None, **_credentials: object
    ) -> list[list[dict[str, Any]]]:
        """Queue the tasks; one list of predictions for each, empty while it is queued.

        Raises:
            LabelConfigError: no task of this config can be judged.
            LedgerError: nothing was recorded.
        """
        config = cast("str", getattr(self, "label_config", None) or "")
        return self.intake.accept(self._project, config, tasks, context=context)

    def fit(
        self, *tasks_or_event: object, event: str = "", data: Mapping[str, Any] | None = None, **_job: object
    ) -> dict[str, Any]:
        """Pass on news from Label Studio: `fit(event, data)` from 2.x, `fit((), event=..., data=...)` from 1.0.9."""
        if len(tasks_or_event) == 2:
            event, data = cast("tuple[str, Mapping[str, Any]]", tasks_or_event)
        self.intake.hear(event, data or {})
        return {}


def plugin_class(intake: Intake) -> type[Any]:
    """A `LabelStudioMLBase` subclass bound to `intake`, for our own server; `hosted` has the one for the library's."""
    return cast("type[Any]", type("PairwiseVideoModel", (_PairwiseModel, _library_base()), {"intake": intake}))


def project_number(project: object) -> int | None:
    """The id in what Label Studio calls a project: 7, "7" or "7.1795331242" (with its time of creation)."""
    digits = str(project).partition(".")[0]
    if type(project) not in (int, str) or not digits.isascii() or not digits.isdigit() or len(digits) > MAX_DIGITS:
        return None
    number = int(digits)
    return number if 0 < number <= MAX_ID else None


def _library_base() -> type[Any]:
    """`LabelStudioMLBase`, without torch in this process.

    Both generations try `import torch.multiprocessing` first and take the standard library's otherwise. torch would add
    hundreds of megabytes to the web process and change its start method. A None in `sys.modules` makes that import
    fail, as the language reference promises (The import system, "The module cache").
    """
    with _hidden("torch"):
        from label_studio_ml.model import LabelStudioMLBase

        return cast("type[Any]", LabelStudioMLBase)


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what the reference describes, which typeshed forbids
    try:
        yield
    finally:
        del sys.modules[module]
