"""An OpenAI-style HTTP server around the in-process engine: `python -m tests.model_server CHECKPOINT PORT`.

Does what vLLM does with pictures, with what it has read before, and with log-probabilities, at the size of a test. The
log-probabilities are the model's own, the twenty likeliest of every step.
"""

from __future__ import annotations

import base64
import hashlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from flask import Flask, jsonify, request
from PIL import Image
from werkzeug.serving import make_server

from backend.types import Frame, FrameRef, Message, Text
from tests.checkpoints import load_checkpoint

if TYPE_CHECKING:
    from flask import Response

    from backend.types import Part

TOP = 20
MOST_IMAGES = 128


class Steps:
    """While open, keeps the likeliest tokens of every step of a model: log-probabilities and ids, best first."""

    def __init__(self, head: torch.nn.Module) -> None:
        self._head = head
        self.rows: list[tuple[list[float], list[int]]] = []

    def __enter__(self) -> Steps:
        self._hook = self._head.register_forward_hook(self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        self._hook.remove()

    def _note(self, _module: torch.nn.Module, _inputs: object, logits: torch.Tensor) -> None:
        best = logits[0, -1].float().log_softmax(-1).topk(TOP)
        self.rows.append((best.values.tolist(), best.indices.tolist()))


class ModelServer:
    """Reads requests as JSON, answers as JSON; one at a time, as there is one model."""

    def __init__(self, checkpoint: str, *, logprobs: bool = True) -> None:
        parts = load_checkpoint(Path(checkpoint))
        self._engine = parts.engine()
        self._head = parts.model.get_output_embeddings()
        self._tokenizer = parts.tokenizer
        self._name = checkpoint
        self._logprobs = logprobs
        self._frames: dict[str, Frame] = {}  # by what was sent, as a server's prefix cache knows pictures

    def answer(self, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """A chat completion, or an error object, and the HTTP status."""
        conversation = tuple(self._message(message) for message in body["messages"])
        pictures = sum(isinstance(part, Frame) for message in conversation for part in message.parts)
        if body["model"] != self._name:
            return _refusal(404, f"The model `{body['model']}` does not exist.")
        if pictures > MOST_IMAGES:
            return _refusal(400, f"At most {MOST_IMAGES} image(s) may be provided in one prompt.")
        with Steps(self._head) as steps:
            completion = self._engine.complete(conversation, max_new_tokens=body["max_tokens"])
        choice = {
            "index": 0,
            "finish_reason": "length" if completion.truncated else "stop",
            "message": {"role": "assistant", "content": completion.text},
            "logprobs": self._log_probabilities(steps, body),
        }
        usage = {
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": completion.cached_tokens},
        }
        shell = {"id": "1", "object": "chat.completion", "created": 0, "model": self._name}
        return {**shell, "choices": [choice], "usage": usage}, 200

    def _message(self, message: dict[str, Any]) -> Message:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        return Message(message["role"], tuple(self._part(part) for part in parts))

    def _part(self, part: dict[str, Any]) -> Part:
        if part["type"] == "text":
            return Text(part["text"])
        sent = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
        key = hashlib.sha256(sent).hexdigest()
        if key not in self._frames:
            image = Image.open(io.BytesIO(sent)).convert("RGB")
            self._frames[key] = Frame(FrameRef(1, len(self._frames)), 0, 0, 0.0, image)
        return self._frames[key]

    def _log_probabilities(self, steps: Steps, body: dict[str, Any]) -> dict[str, Any] | None:
        if not self._logprobs or not body.get("logprobs"):
            return None
        said = [row for row in steps.rows if row[1][0] not in self._tokenizer.all_special_ids]
        return {
            "content": [
                self._token(best[0], values[0])
                | {"top_logprobs": [self._token(*one) for one in zip(best, values, strict=True)]}
                for values, best in said
            ]
        }

    def _token(self, number: int, log_probability: float) -> dict[str, Any]:
        content = self._tokenizer.decode([number])  # as vLLM: alone, so a part of a character is a placeholder
        return {"token": content, "bytes": list(content.encode()), "logprob": log_probability}


def _refusal(status: int, message: str) -> tuple[dict[str, Any], int]:
    return {"error": {"message": message, "type": "BadRequestError", "code": status}}, status


def create_app(server: ModelServer) -> Flask:
    """The two endpoints that clients of such servers use."""
    app = Flask("model_server")

    @app.get("/v1/models")
    def models() -> Response:
        return jsonify({"object": "list", "data": [{"id": server._name, "object": "model"}]})

    @app.post("/v1/chat/completions")
    def completions() -> tuple[Response, int]:
        answer, status = server.answer(request.get_json())
        return jsonify(answer), status

    return app


if __name__ == "__main__":
    running = make_server("127.0.0.1", int(sys.argv[2]), create_app(ModelServer(sys.argv[1])), threaded=False)
    running.serve_forever()
