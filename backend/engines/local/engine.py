"""The engine itself: conversations come in from any number of threads, and up to a batch of them go on together."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from backend.engines.local.batch import Batch, greedy
from backend.engines.local.prompt import frames_of
from backend.errors import EngineError
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import BaseImageProcessor, PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

    from backend.engines.local.batch import Choose, Reply
    from backend.types import Completion, Conversation

logger = logging.getLogger(__name__)

POLL_S = 0.5  # a waiting thread wakes so often, to notice what was raised in it: a time-out, Ctrl-C


@dataclass(slots=True, eq=False)
class Request:
    """One call of `complete`, from its thread to the one that works. Settled once, whatever happens."""

    conversation: Conversation
    max_new_tokens: int
    owner: int
    outcome: Completion | BaseException | None = None
    cancelled: bool = False
    alone: bool = False  # it was there when a batch failed: nobody may share its next try
    retried: bool = False  # it has been alone with all the memory once
    done: threading.Event = field(default_factory=threading.Event)

    def settle(self, outcome: Completion | BaseException | None) -> None:
        """Let the caller go on."""
        self.outcome = outcome
        self.done.set()


class LocalEngine:
    """Implements `reasoning.judge.Engine`. Stateless for callers: any conversation may follow any other.

    Calls from up to `batch` threads at once are answered together, each as soon as its own reply is finished; further
    calls wait. All computing is done by one thread, which is there only while there is work.
    """

    def __init__(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        image_processor: BaseImageProcessor,
        *,
        batch: int = 1,
        choose: Choose = greedy,
    ) -> None:
        """A loaded `Qwen2_5_VLForConditionalGeneration` with its tokenizer and image processor.

        `choose` picks the next tokens; anything but `greedy` is for steering the model in tests and measurements.
        """
        self._batch = Batch(model, tokenizer, image_processor, rows=batch, choose=choose)
        self._places = batch
        self._lock = threading.Lock()
        self._working = False
        self._waiting: deque[Request] = deque()
        self._going: dict[Reply, Request] = {}

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The assistant's next message.

        Raises:
            EngineError: the text holds image tokens, the conversation outgrows the model's context, or the GPU's memory
                does not hold it.
        """
        request = Request(conversation, max_new_tokens, threading.get_ident())
        with self._lock:
            if not self._working:
                threading.Thread(target=self._work, name="engine").start()  # a daemon would be cut off at exit
                self._working = True
            self._waiting.append(request)
        try:
            while not request.done.wait(POLL_S):
                pass
        except BaseException:
            request.cancelled = True
            request.done.wait()  # for ever if the model hangs: then the caller must not seem to be free again
            raise
        if isinstance(request.outcome, BaseException):
            raise request.outcome
        assert request.outcome is not None  # noqa: S101  # only who has cancelled is told nothing
        return request.outcome

    def _work(self) -> None:
        """Until nothing is left to do."""
        try:
            with torch.inference_mode():
                while self._admit():
                    self._advance()
        except BaseException as error:  # nobody may be left waiting
            self._batch.forget()
            with self._lock:
                left = [*self._going.values(), *self._waiting]
                self._going.clear()
                self._waiting.clear()
                self._working = False
            for request in left:
                request.settle(error)
            raise

    def _admit(self) -> bool:
        """Begin what waits as far as there are places; False when nothing is left, and then no work goes on."""
        while (request := self._next()) is not None:
            self._begin(request)
        with self._lock:
            self._working = bool(self._going or self._waiting)
            return self._working

    def _next(self) -> Request | None:
        with self._lock:
            while self._waiting and self._has_place(self._waiting[0]):
                request = self._waiting.popleft()
                if not request.cancelled:
                    return request
                request.settle(None)
            return None

    def _has_place(self, request: Request) -> bool:
        if not self._going:
            return True
        shared = not request.alone and not any(one.alone for one in self._going.values())
        return shared and len(self._going) < self._places

    def _begin(self, request: Request) -> None:
        try:
            reply = self._batch.begin(request.conversation, max_new_tokens=request.max_new_tokens, owner=request.owner)
        except torch.OutOfMemoryError as error:
            self._start_over([*self._going.values(), request], error)
        except Exception as error:  # noqa: BLE001  # raised in its caller; reading touches no one else's row
            request.settle(error)
        else:
            self._going[reply] = request
            self._settle_finished()

    def _advance(self) -> None:
        try:
            self._batch.step()
        except Exception as error:  # noqa: BLE001  # raised in the caller whose fault it turns out to be
            self._start_over(list(self._going.values()), error)
        self._settle_finished()

    def _settle_finished(self) -> None:
        for reply, request in list(self._going.items()):
            if request.cancelled or self._batch.finished(reply):
                del self._going[reply]
                self._batch.remove(reply)
                request.settle(None if request.cancelled else self._batch.completion(reply))

    def _start_over(self, requests: list[Request], error: Exception) -> None:
        """After a step that failed: forget everything and try with fewer, in the end each alone.

        Replies start anew, and greedily they come out the same. Memory that did not suffice for so many will not do so
        later, so the batch stays smaller.
        """
        self._batch.forget()
        self._going.clear()
        short = isinstance(error, torch.OutOfMemoryError)
        if len(requests) > 1:
            if short:
                self._places = len(requests) // 2
                logger.warning(line("out of GPU memory", together=len(requests), from_now_on=self._places))
            for request in requests:
                request.alone = not short
            self._wait_again(requests)
        elif short and not requests[0].retried:
            requests[0].retried = True
            self._wait_again(requests)
        else:
            requests[0].settle(_out_of_memory(requests[0], error) if short else error)

    def _wait_again(self, requests: Iterable[Request]) -> None:
        with self._lock:
            self._waiting.extendleft(reversed(list(requests)))


def _out_of_memory(request: Request, error: Exception) -> EngineError:
    said = EngineError(
        f"Out of GPU memory in a conversation with {len(frames_of(request.conversation))} pictures. Use a larger "
        "GPU, QUANTIZATION=8bit or 4bit, or MEMORY_WINDOW=1."
    )
    said.__cause__ = error
    return said
