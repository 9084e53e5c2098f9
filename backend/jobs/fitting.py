"""A judgement -> a prediction that fits the project's labeling config of this moment, or the reason why not."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from backend.errors import ConfigChangedError, LabelConfigError
from backend.label_studio.convert import to_prediction, validate_prediction
from backend.label_studio.layout import parse_layout
from backend.label_studio.records import NewPrediction

if TYPE_CHECKING:
    from backend.agreement.calibration import Calibration
    from backend.label_studio.records import Project
    from backend.ledger import Claim


_layout = lru_cache(maxsize=8)(parse_layout)


def fitted(project: Project, claim: Claim, calibration: Calibration | None = None) -> NewPrediction | None:
    """What to store, None where the config asks people without the model's opinion.

    The score is the judgement's own, or how likely a person agrees, where a `calibration` tells that.

    Raises:
        ConfigChangedError: the judgement cannot be shown with the project's present config; says why.
    """
    try:
        layout = _layout(project.label_config)
        if layout.blind:
            return None
        wanted = to_prediction(layout, claim.judgement, claim.task)
        problems = validate_prediction(project.label_config, wanted)
    except LabelConfigError as error:
        raise ConfigChangedError(f"The labeling config of project {project.id} was changed: {error}") from None
    if problems:
        raise ConfigChangedError(
            f"The judgement does not fit the labeling config of project {project.id}: {'; '.join(problems)}. "
            "Correct the config, then retry the failed tasks."
        )
    score = wanted["score"]
    if calibration is not None and score is not None:
        score = calibration.calibrated(score)
    return NewPrediction(wanted["task"], wanted["model_version"], tuple(wanted["result"]), score)
