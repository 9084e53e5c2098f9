"""An engine behind any OpenAI-compatible server (vLLM, SGLang, ...): the worker needs no torch and no GPU of its own.

Every request carries the whole conversation, each picture in the same bytes every time, so that the server's prefix
cache recognises all earlier turns.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import time
from math import exp
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import openai
from openai.types.chat import ChatCompletion

from backend.errors import EngineError, EngineUnavailableError
from backend.reasoning.reply import ASSIGNED
from backend.types import Completion, DigitOdds, Frame, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openai.types.chat import ChatCompletionMessage
    from openai.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

    from backend.types import Conversation, Message

log = logging.getLogger(__name__)

DIGITS = ("0", "1", "2")
ASSIGNED_DIGIT = re.compile(ASSIGNED + "([012])")
BEFORE_DIGIT = re.compile(ASSIGNED + r"\Z")
MOST_BEFORE = 64  # characters looked at for it
# What OpenAI-compatible servers commonly allow at most; three digits need far fewer.
TOP_LOGPROBS = 20
MOST_IMAGES = 128  # 4 initial pairs and 5 requests for 12
IMAGE_LIMIT = f'{{"image": {MOST_IMAGES}}}'


class OpenAIEngine:
    """Asks a server; may be shared by threads."""

    def __init__(self, base_url: str, api_key: str, model: str, *, timeout_s: float, retries: int = 3) -> None:
        """`model` is the name the server serves; `retries` with the library's own backoff on 429, 5xx and time-outs."""
        self._client = openai.OpenAI(base_url=base_url, api_key=api_key, timeout=timeout_s, max_retries=retries)
        self._model = model
        self._gives_odds = True
        self._urls: WeakKeyDictionary[Frame, str] = WeakKeyDictionary()

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The server's next message, greedily.

        Raises:
            EngineUnavailableError: refused, timed out, overloaded or broken off; the order may pass later.
            EngineError: the server refuses this request for good, e.g. for too many images or too long a context.
        """
        started = time.monotonic()
        try:
            response = self._ask(conversation, max_new_tokens)
        except openai.OpenAIError as error:
            raise _mapped(error, self._client.base_url) from error
        except ValueError as error:
            raise EngineUnavailableError(f"The server at {self._client.base_url} did not answer with JSON.") from error
        return _completion(response, time.monotonic() - started)

    def _ask(self, conversation: Conversation, max_new_tokens: int) -> object:
        odds: dict[str, Any] = {"logprobs": True, "top_logprobs": TOP_LOGPROBS} if self._gives_odds else {}
        try:
            return self._client.chat.completions.create(
                model=self._model,
                messages=[self._message(message) for message in conversation],  # type: ignore[misc]  # built as JSON
                max_tokens=max_new_tokens,
                temperature=0,
                **odds,
            )
        except openai.BadRequestError as error:
            if not odds or "logprob" not in str(error).lower():
                raise
            log.warning(
                "the server at %s gives no log-probabilities; judgements carry no confidence", self._client.base_url
            )
            self._gives_odds = False
            return self._ask(conversation, max_new_tokens)

    def _message(self, message: Message) -> dict[str, Any]:
        if message.role != "user":
            text = "".join(part.text for part in message.parts if isinstance(part, Text))
            return {"role": message.role, "content": text}
        return {"role": "user", "content": [self._part(part) for part in message.parts]}

    def _part(self, part: Text | Frame) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        if part not in self._urls:
            self._urls[part] = _data_url(part)
        return {"type": "image_url", "image_url": {"url": self._urls[part]}}


def _data_url(frame: Frame) -> str:
    """The picture as PNG: lossless, so that the model sees the pixels that the in-process engine sees."""
    buffer = io.BytesIO()
    frame.image.save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _completion(response: object, seconds: float) -> Completion:
    text = _text(response.choices[0].message) if isinstance(response, ChatCompletion) and response.choices else None
    if not isinstance(response, ChatCompletion) or text is None:
        raise EngineUnavailableError("The server answered without a message.")
    choice = response.choices[0]
    usage = response.usage
    details = usage.prompt_tokens_details if usage else None
    return Completion(
        text=text,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        truncated=choice.finish_reason == "length",
        cached_tokens=(details.cached_tokens or 0) if details else 0,
        seconds=seconds,
        digits=_digits(text, choice.logprobs.content or []) if choice.logprobs else (),
    )


def _text(message: ChatCompletionMessage) -> str | None:
    """The reply as the model wrote it: some servers take tool calls out of the text and hand them over beside it."""
    called = [
        f'<tool_call>{{"name": {json.dumps(call.function.name)}, "arguments": {call.function.arguments}}}</tool_call>'
        for call in message.tool_calls or ()
        if call.type == "function"
    ]
    return None if message.content is None and not called else (message.content or "") + "".join(called)


def _digits(text: str, tokens: Sequence[ChatCompletionTokenLogprob]) -> tuple[DigitOdds, ...]:
    """Odds of the digits after `TA=` and the like, each at its place in `text`; none without log-probabilities.

    Digits in the text and digits among the tokens are paired from the end, where the answer stands. Adding up the
    tokens' lengths would not do: of a character split over several, servers send its bytes, a placeholder, or nothing.
    """
    placed = [(match[1], match[2], match.start(2)) for match in ASSIGNED_DIGIT.finditer(text)]
    found = []
    for (*written, offset), (*said, token) in zip(reversed(placed), reversed(_assigned(tokens)), strict=False):
        if written != said:
            break
        likely = {top.token: exp(min(top.logprob, 0.0)) for top in token.top_logprobs}
        tie, first, second = (likely.get(digit, 0.0) for digit in DIGITS)
        if mass := tie + first + second:
            found.append(DigitOdds(offset, (tie / mass, first / mass, second / mass), min(mass, 1.0)))
    return tuple(reversed(found))


def _assigned(
    tokens: Sequence[ChatCompletionTokenLogprob],
) -> list[tuple[str, str, ChatCompletionTokenLogprob]]:
    """The tokens that are a digit after `TA=` and the like: the dimension, the digit, the token."""
    found = []
    before = ""
    for token in tokens:
        if token.token in DIGITS and (assigned := BEFORE_DIGIT.search(before)):
            found.append((assigned[1], token.token, token))
        before = (before + token.token)[-MOST_BEFORE:]
    return found


def _mapped(error: openai.OpenAIError, url: object) -> EngineError:
    """The library's errors in our words; the one place where they are known."""
    match error:
        case openai.APITimeoutError():
            return EngineUnavailableError(f"The server at {url} did not answer in time (ENGINE_TIMEOUT_S).")
        case openai.APIConnectionError():
            return EngineUnavailableError(f"The server at {url} cannot be reached or broke the connection off.")
        case openai.RateLimitError() | openai.InternalServerError() | openai.APIResponseValidationError():
            return EngineUnavailableError(f"The server at {url} failed: {_brief(error)}.")
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return EngineError(f"The server at {url} refused the key; check OPENAI_API_KEY.")
        case openai.NotFoundError():
            return EngineError(f"The server at {url} does not know this model; check MODEL: {_brief(error)}.")
        case openai.APIStatusError():
            return EngineError(f"The server at {url} refused the request: {_brief(error)}.{_advice(error)}")
        case _:
            return EngineUnavailableError(f"The server at {url} answered with something unreadable: {_brief(error)}.")


def _advice(error: Exception) -> str:
    """What to change on the server, for the two limits that conversations about videos run into."""
    said = str(error).lower()
    if "image" in said and ("at most" in said or "limit" in said):
        return f" A pair may need {MOST_IMAGES} pictures: start vLLM with --limit-mm-per-prompt '{IMAGE_LIMIT}'."
    if "context length" in said or "max_model_len" in said:
        return " Start it with a larger --max-model-len, or set MEMORY_WINDOW to keep fewer pictures."
    return ""


def _brief(error: Exception) -> str:
    """One line, no request bodies."""
    return " ".join(str(error).split())[:300].rstrip(".")
