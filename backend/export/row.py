"""One record as the JSON object of `records.jsonl`; every key in every row, so that columns have one type. Pure.

Preferences are the model's own digits: 0 a tie, 1 Video 1, 2 Video 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.reasoning.swap import exchanged
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.export.conversation import TraceSource
    from backend.export.record import Opinion, Record
    from backend.types import FrameRef, InspectedFrame, Judgement, Turn, VideoNumber


def row_of(record: Record, *, trace_source: TraceSource | None, files: Mapping[FrameRef, str]) -> dict[str, Any]:
    """The row; `files` are the pictures in the dataset, none where they were not asked for."""
    judgement = record.judgement
    return {
        "id": record.name,
        "project": record.project,
        "task": record.task,
        "annotation": record.annotation,
        "annotator": record.annotator,
        "split": record.split,
        "prompt": record.prompt,
        "video1": _video(record.video1, judgement, 1),
        "video2": _video(record.video2, judgement, 2),
        "labels": {dimension.value: _label(record, dimension) for dimension in Dimension},
        "disagrees": record.disagrees,
        "exposure": record.exposure.value,
        "lead_time": record.lead_time,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
        "model_version": record.model_version,
        "trace_source": trace_source and trace_source.value,
        "rollout": _rollout(judgement, files),
        "problems": list(record.problems),
    }


def _video(reference: str, judgement: Judgement, number: VideoNumber) -> dict[str, Any]:
    clip = next((clip for clip in judgement.clips if clip.video == number), None)
    return {
        "reference": reference,
        "sha256": (clip.sha256 or None) if clip else None,
        "fps": clip and clip.fps,
        "frames": clip and clip.frames,
        "width": clip and clip.width,
        "height": clip and clip.height,
    }


def _label(record: Record, dimension: Dimension) -> dict[str, Any]:
    opinion: Opinion = record.opinions[dimension]
    second = record.judgement.swapped and record.judgement.swapped.verdicts.get(dimension)
    return {
        "human": opinion.human if opinion.human is None else int(opinion.human),
        "model": opinion.model if opinion.model is None else int(opinion.model),
        "comparison": opinion.comparison.value,
        "confidence": opinion.confidence,
        "order_dependent": opinion.order_dependent,
        "with_videos_exchanged": int(exchanged(second).preference) if second else None,
        "rationale_before": opinion.model_rationale,
        "rationale_after": opinion.human_rationale,
        "rationale_edited": opinion.rationale_edited,
    }


def _rollout(judgement: Judgement, files: Mapping[FrameRef, str]) -> dict[str, Any]:
    return {
        "stop": judgement.stop.value,
        "forced": judgement.forced,
        "turns": [_turn(turn) for turn in judgement.turns],
        "frames": [_frame(frame, files.get(frame.ref)) for frame in judgement.frames],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "reply": turn.reply,
        "outcome": turn.outcome,
        "note": turn.note,
        "served": list(turn.served),
        "forced": turn.forced,
    }


def _frame(frame: InspectedFrame, file: str | None) -> dict[str, Any]:
    return {
        "video": frame.ref.video,
        "slot": frame.ref.slot,
        "index": frame.index,
        "wanted": frame.wanted,
        "seconds": frame.seconds,
        "turn": frame.turn,
        "file": file,
    }
