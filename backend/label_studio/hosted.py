"""The model class for label-studio-ml's own server; see docs/hosting.md."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from backend.errors import LabelConfigError, VRThinkerError
from backend.label_studio.plugin import plugin_class
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.label_studio.plugin import Intake

logger = logging.getLogger(__name__)

UNAVAILABLE = "A part of the backend cannot be used right now; its log says why."


def hosted_class(intake: Intake) -> type[Any]:
    """`plugin_class(intake)` for `label_studio_ml.api.init_app`, with failures as that server's own clean answers.

    It answers 400 and the reason where a labeling config cannot be used, and 503 for what only the operator may know.
    """
    return cast("type[Any]", type("PairwiseVideoModel", (_Hosted, plugin_class(intake)), {}))


class _Hosted:
    """The two calls whose failures that server would answer with 500 and a traceback."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        with _answered():
            super().__init__(*args, **kwargs)

    def predict(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401  # what the class below answers
        with _answered():
            return super().predict(*args, **kwargs)  # type: ignore[misc]  # the class that this one is put before


@contextmanager
def _answered() -> Iterator[None]:
    """Our errors as the library's `AnswerException`, which exists while a request is answered only."""
    from flask import has_request_context
    from label_studio_ml.exceptions import AnswerException

    try:
        yield
    except VRThinkerError as error:
        if not has_request_context():
            raise
        logger.warning(line("request refused", message=error))
        refused = isinstance(error, LabelConfigError)
        status = HTTPStatus.BAD_REQUEST if refused else HTTPStatus.SERVICE_UNAVAILABLE
        # The library adds its traceback to the answer unless there is one.
        raise AnswerException(status, str(error) if refused else UNAVAILABLE, {"traceback": ""}) from error
