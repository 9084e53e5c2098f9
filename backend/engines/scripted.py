"""A test double: an engine that gives the replies it was handed, in order, and fails loudly when they run out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from backend.types import Completion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.types import Conversation


class ScriptedEngine:
    """Replies from a list; `seen` keeps every conversation it was asked to continue."""

    def __init__(self, replies: Iterable[str | Completion]) -> None:
        """`replies` are given out once each, in this order."""
        self._replies = deque(replies)
        self.seen: list[Conversation] = []

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The next reply of the script; token counts are its words.

        Raises:
            AssertionError: the script is used up.
        """
        self.seen.append(conversation)
        if not self._replies:
            raise AssertionError(f"the script is used up after {len(self.seen) - 1} replies")
        reply = self._replies.popleft()
        if isinstance(reply, Completion):
            return reply
        return Completion(reply, prompt_tokens=0, completion_tokens=min(len(reply.split()), max_new_tokens))
