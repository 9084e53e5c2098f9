"""A judge worker whose model is a double that answers at once: `python -m backend.bench.instant`.

All else is the product's own, so what such a worker needs for a pair is what is around the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.log import configure_logging
from backend.settings import load_settings
from backend.types import Completion
from backend.worker.judge import judge_until_stopped

if TYPE_CHECKING:
    from backend.types import Conversation

ANSWER = "<Think>Video 1 follows the prompt better.</Think><Answer>TA=1, VQ=2, MQ=0, OA=1</Answer>"


class InstantEngine:
    """A double: the same answer to every conversation, in no time."""

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """An answer at once."""
        return Completion(ANSWER, 1, min(1, max_new_tokens))


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings.log_level)
    judge_until_stopped(settings, InstantEngine(), device="double")
