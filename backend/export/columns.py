"""The columns of `records.jsonl` and their types, as data: for Parquet, and for readers that would otherwise guess.

`datasets` guesses a column's type from the first megabytes, and refuses the file when a column that was empty there is
filled later. So the dataset card tells it. A dict is a structure, a list of one holds any number, text names a type.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from backend.types import Dimension

Type: TypeAlias = "str | list[Type] | dict[str, Type]"

TEXT, WHOLE, DIGIT, REAL, FLAG = "string", "int64", "int8", "float64", "bool"
TIMES = ("created_at", "updated_at")  # in ISO 8601, since JSON has no times

VIDEO: Type = {"reference": TEXT, "sha256": TEXT, "fps": REAL, "frames": WHOLE, "width": WHOLE, "height": WHOLE}
LABEL: Type = {
    "human": DIGIT,
    "model": DIGIT,
    "comparison": TEXT,
    "confidence": REAL,
    "order_dependent": FLAG,
    "with_videos_exchanged": DIGIT,
    "rationale_before": TEXT,
    "rationale_after": TEXT,
    "rationale_edited": FLAG,
}
TURN: Type = {"reply": TEXT, "outcome": TEXT, "note": TEXT, "served": [WHOLE], "forced": FLAG}
FRAME: Type = {
    "video": DIGIT,
    "slot": WHOLE,
    "index": WHOLE,
    "wanted": WHOLE,
    "seconds": REAL,
    "turn": WHOLE,
    "file": TEXT,
}
COLUMNS: dict[str, Type] = {
    "id": TEXT,
    "project": WHOLE,
    "task": WHOLE,
    "annotation": WHOLE,
    "annotator": TEXT,
    "split": TEXT,
    "prompt": TEXT,
    "video1": VIDEO,
    "video2": VIDEO,
    "labels": {dimension.value: LABEL for dimension in Dimension},
    "disagrees": FLAG,
    "exposure": TEXT,
    "lead_time": REAL,
    **dict.fromkeys(TIMES, TEXT),
    "model_version": TEXT,
    "trace_source": TEXT,
    "rollout": {"stop": TEXT, "forced": FLAG, "turns": [TURN], "frames": [FRAME]},
    "problems": [TEXT],
}


def card_features(columns: dict[str, Type]) -> list[dict[str, Any]]:
    """The columns as a dataset card tells them to `datasets`."""
    return [{"name": name} | _told(kind) for name, kind in columns.items()]


def _told(kind: Type) -> dict[str, Any]:
    if isinstance(kind, str):
        return {"dtype": kind}
    if isinstance(kind, dict):
        return {"struct": card_features(kind)}
    (inner,) = kind
    return {"list": card_features(inner) if isinstance(inner, dict) else inner}
