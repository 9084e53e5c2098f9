"""The OpenAI-compatible engine against a real HTTP server whose replies are scripted."""

from __future__ import annotations

import base64
import io
import math
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, jsonify, request
from PIL import Image, ImageChops
from werkzeug.serving import make_server

from backend.engines.openai import OpenAIEngine
from backend.errors import EngineError, EngineUnavailableError
from backend.types import Frame, FrameRef, Message, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Reply = tuple[int, Any]

PICTURE = Frame(FrameRef(1, 16), 3, 3, 0.1, Image.effect_noise((448, 448), 90).convert("RGB"))
CONVERSATION = (
    Message("system", (Text("You compare."),)),
    Message("user", (PICTURE, PICTURE, Text("Which one?"))),
)


def message(text: str, tokens: list[tuple[str, dict[str, float]]] | None = None, finish: str = "stop") -> Reply:
    """A chat completion as vLLM writes it; `tokens` are the pieces of the text with their likeliest alternatives."""
    logprobs = None
    if tokens is not None:
        logprobs = {
            "content": [
                {
                    "token": token,
                    "bytes": list(token.encode()),
                    "logprob": math.log(max(odds.values(), default=1.0)),
                    "top_logprobs": [
                        {"token": other, "bytes": list(other.encode()), "logprob": math.log(odd)}
                        for other, odd in odds.items()
                    ],
                }
                for token, odds in tokens
            ]
        }
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text},
        "logprobs": logprobs,
    }
    usage = {
        "prompt_tokens": 50,
        "completion_tokens": 9,
        "total_tokens": 59,
        "prompt_tokens_details": {"cached_tokens": 40},
    }
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


@contextmanager
def server(answer: Callable[[dict[str, Any]], Reply]) -> Iterator[tuple[OpenAIEngine, list[dict[str, Any]]]]:
    """A scripted server (a test double of vLLM) on a free port, the engine that asks it, and what it was asked."""
    app = Flask("scripted_openai_server")
    asked: list[dict[str, Any]] = []

    @app.post("/v1/chat/completions")
    def completions() -> Response:
        asked.append(request.get_json())
        status, body = answer(asked[-1])
        response = jsonify(body) if isinstance(body, dict) else Response(body)
        response.status_code = status
        response.headers["retry-after-ms"] = "1"
        return response

    running = make_server("127.0.0.1", 0, app)
    thread = Thread(target=running.serve_forever, daemon=True)
    thread.start()
    engine = OpenAIEngine(f"http://127.0.0.1:{running.server_port}/v1", "key", "m", timeout_s=5, retries=2)
    try:
        yield engine, asked
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def test_the_reply_and_its_counts_come_back() -> None:
    with server(lambda _: message("<Think>hm</Think>")) as (engine, _):
        completion = engine.complete(CONVERSATION, max_new_tokens=7)
    assert completion.text == "<Think>hm</Think>"
    assert (completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens) == (50, 40, 9)
    assert not completion.truncated


@pytest.mark.parametrize(("content", "thought"), [("<Think>hm</Think>", "<Think>hm</Think>"), (None, "")])
def test_a_tool_call_that_the_server_took_out_of_the_text_is_put_back(content: str | None, thought: str) -> None:
    arguments = '{"frame_indices": [2, 42]}'
    call = {"id": "1", "type": "function", "function": {"name": "select_frames", "arguments": arguments}}
    status, body = message("", finish="tool_calls")
    body["choices"][0]["message"] = {"role": "assistant", "content": content, "tool_calls": [call]}
    with server(lambda _: (status, body)) as (engine, _):
        text = engine.complete(CONVERSATION, max_new_tokens=7).text
    assert text == f'{thought}<tool_call>{{"name": "select_frames", "arguments": {arguments}}}</tool_call>'


def test_the_request_is_greedy_and_carries_the_limit() -> None:
    with server(lambda _: message("x")) as (engine, asked):
        engine.complete(CONVERSATION, max_new_tokens=7)
    assert (asked[0]["temperature"], asked[0]["max_tokens"], asked[0]["model"]) == (0, 7, "m")


def test_pictures_arrive_losslessly_in_order_and_in_the_same_bytes_each_time() -> None:
    with server(lambda _: message("x")) as (engine, asked):
        engine.complete(CONVERSATION, max_new_tokens=7)
        engine.complete(CONVERSATION, max_new_tokens=7)
    parts = asked[0]["messages"][1]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    sent = base64.b64decode(parts[0]["image_url"]["url"].partition(",")[2])
    assert ImageChops.difference(Image.open(io.BytesIO(sent)), PICTURE.image).getbbox() is None
    assert asked[0] == asked[1]


def test_a_reply_cut_at_the_limit_says_so() -> None:
    with server(lambda _: message("<Think>and so", finish="length")) as (engine, _):
        assert engine.complete(CONVERSATION, max_new_tokens=7).truncated


def test_odds_of_answer_digits_are_renormalised_and_placed_by_character() -> None:
    tokens = [
        ("é ", {}),
        ("TA=", {}),
        ("1", {"1": 0.6, "0": 0.1, "2": 0.1, "x": 0.2}),
        (", MQ=", {}),
        ("2", {"2": 0.5}),
    ]
    with server(lambda _: message("é TA=1, MQ=2", tokens)) as (engine, _):
        digits = engine.complete(CONVERSATION, max_new_tokens=7).digits
    assert [digit.offset for digit in digits] == [5, 11]
    assert digits[0].odds == pytest.approx((0.125, 0.75, 0.125))
    assert digits[0].mass == pytest.approx(0.8)
    assert digits[1].odds == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("parts", [["\ufffd", "\ufffd", "\ufffd"], ["", "", ""], ["\xe2", "\x9c", "\x85"], ["✅"]])
def test_odds_stay_with_their_digit_whatever_a_server_sends_of_a_character_in_several_tokens(parts: list[str]) -> None:
    odds = [{"1": 0.98, "0": 0.02}, {"2": 0.6, "1": 0.4}]
    tokens = [("cat ", {}), *((part, {}) for part in parts), (" TA", {}), ("=", {}), ("1", odds[0]), (", VQ=", {})]
    with server(lambda _: message("cat ✅ TA=1, VQ=2", [*tokens, ("2", odds[1]), ("<|im_end|>", {})])) as (engine, _):
        digits = engine.complete(CONVERSATION, max_new_tokens=7).digits
    assert [digit.offset for digit in digits] == [9, 15]
    assert digits[0].odds == pytest.approx((0.02, 0.98, 0.0))
    assert digits[1].odds == pytest.approx((0.0, 0.4, 0.6))


def test_odds_of_other_words_than_the_reply_s_are_left_out() -> None:
    tokens = [("TA=", {}), ("1", {"1": 0.9}), (", VQ=", {}), ("0", {"0": 0.9}), (", OA=", {}), ("2", {"2": 0.9})]
    with server(lambda _: message("TA=1, VQ=1, OA=2", tokens)) as (engine, _):
        digits = engine.complete(CONVERSATION, max_new_tokens=7).digits
    assert [digit.offset for digit in digits] == [15]


def test_a_server_that_refuses_logprobs_is_asked_without_them_from_then_on() -> None:
    def without_logprobs(body: dict[str, Any]) -> Reply:
        return (400, {"error": {"message": "logprobs are not supported"}}) if "logprobs" in body else message("x")

    with server(without_logprobs) as (engine, asked):
        assert engine.complete(CONVERSATION, max_new_tokens=7).digits == ()
        engine.complete(CONVERSATION, max_new_tokens=7)
    assert ["logprobs" in body for body in asked] == [True, False, False]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_is_tried_again(status: int) -> None:
    replies = iter([(status, {"error": {"message": "busy"}}), message("x")])
    with server(lambda _: next(replies)) as (engine, asked):
        assert engine.complete(CONVERSATION, max_new_tokens=7).text == "x"
    assert len(asked) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_stays_is_retryable_and_names_the_server(status: int) -> None:
    with (
        server(lambda _: (status, {"error": {"message": "busy"}})) as (engine, asked),
        pytest.raises(EngineUnavailableError, match=r"127\.0\.0\.1.*busy"),
    ):
        engine.complete(CONVERSATION, max_new_tokens=7)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("status", "text", "says"),
    [
        (
            400,
            "At most 8 image(s) may be provided in one request.",
            r"At most 8 image.*mm-per-prompt '{\"image\": 128}'",
        ),
        (400, "This model's maximum context length is 4096 tokens.", "--max-model-len, or set MEMORY_WINDOW"),
        (401, "bad key", "OPENAI_API_KEY"),
        (404, "The model `m` does not exist.", "check MODEL"),
        (422, "no", "refused the request"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_change(status: int, text: str, says: str) -> None:
    with (
        server(lambda _: (status, {"error": {"message": text}})) as (engine, asked),
        pytest.raises(EngineError, match=says) as raised,
    ):
        engine.complete(CONVERSATION, max_new_tokens=7)
    assert not raised.value.retryable
    assert len(asked) == 1


@pytest.mark.parametrize("body", ["<html>oops</html>", "{", {"choices": []}, {"choices": None}, {"unexpected": 1}])
def test_garbage_is_a_retryable_engine_error(body: object) -> None:
    with server(lambda _: (200, body)) as (engine, _), pytest.raises(EngineUnavailableError):
        engine.complete(CONVERSATION, max_new_tokens=7)


def test_no_server_at_all_is_a_retryable_engine_error() -> None:
    engine = OpenAIEngine("http://127.0.0.1:9/v1", "key", "m", timeout_s=2, retries=0)
    with pytest.raises(EngineUnavailableError, match="cannot be reached"):
        engine.complete(CONVERSATION, max_new_tokens=7)
