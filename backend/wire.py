"""Frozen values <-> JSON: the one edge where dicts are made and read, checked against the types in both directions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from backend.types import Judgement, PairwiseTask

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """A task to judge: what travels from the web process to a GPU worker."""

    task: PairwiseTask
    model_version: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an order has no judgement: `reason` groups, `message` explains, `retryable` says whether to try again."""

    reason: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order: exactly one of `judgement` and `failure`."""

    order: Order
    judgement: Judgement | None = None
    failure: Failure | None = None

    def __post_init__(self) -> None:
        if (self.judgement is None) == (self.failure is None):
            raise ValueError("an outcome is either a judgement or a failure")


# One adapter per kind: building one takes milliseconds. The cast is for mypy, which takes no class for hashable.
_adapter = cast("Callable[[type[Any]], TypeAdapter[Any]]", cache(TypeAdapter))


def to_json(value: object) -> dict[str, Any]:
    """The JSON object of a frozen value: plain dicts, lists, strings and numbers."""
    encoded: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json")
    return encoded


def from_json(kind: type[T], data: object) -> T:
    """The frozen value of a JSON object.

    Raises:
        ValueError: the object does not describe a value of that kind; says where it differs, but not what it holds,
            because that may be a person's words.
    """
    try:
        value: T = _adapter(kind).validate_python(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        places = "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'all'}: {problem['msg']}" for problem in problems)
        raise ValueError(f"not a valid {kind.__name__}: {places}") from None
    return value


def from_text(kind: type[T], text: str) -> T:
    """The same from JSON text, in half the time.

    Raises:
        ValueError: it is not JSON, or does not describe a value of that kind.
    """
    try:
        value: T = _adapter(kind).validate_json(text)
    except ValidationError:
        # The fast parser refuses half a surrogate pair, which the slow one takes; whatever is wrong, it says so too.
        return from_json(kind, json.loads(text))
    return value
