"""The finished records as Parquet, through `datasets`, with every column's type stated."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from backend.errors import ExportError
from backend.types import Dimension

if TYPE_CHECKING:
    from backend.export.folder import Draft


def write_parquet(draft: Draft) -> None:
    """Write `parquet/<split>.parquet` for each split that has records.

    Raises:
        ExportError: `datasets` is not installed, or refuses the records.
        OSError: the disk is full.
    """
    try:
        import datasets
    except ImportError:
        raise ExportError(
            "The format parquet needs the package datasets: pip install 'vrthinker[export]', or name other formats."
        ) from None
    datasets.disable_progress_bars()
    try:
        _write(draft, datasets)
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, OSError):  # a full disk is told as one
            raise error.__cause__ from None
        raise ExportError(f"The records cannot be written as Parquet: {error.__cause__ or error}.") from error


def _write(draft: Draft, datasets: Any) -> None:  # noqa: ANN401  # the library is untyped
    (draft.folder / "parquet").mkdir()
    with tempfile.TemporaryDirectory(dir=draft.folder, prefix=".cache-") as cache:
        source = str(draft.folder / "records.jsonl")
        rows = datasets.Dataset.from_json(source, features=_features(datasets), cache_dir=cache)
        splits = rows["split"]
        for split in ("train", "validation"):
            places = [place for place, name in enumerate(splits) if name == split]
            if places:
                name = f"parquet/{split}.parquet"
                rows.select(places).to_parquet(str(draft.folder / name))
                draft.note(name, len(places))


def _features(datasets: Any) -> Any:  # noqa: ANN401  # the library is untyped
    """The types of `row.row_of`."""
    value, several = datasets.Value, datasets.List
    text, whole, real, flag = value("string"), value("int64"), value("float64"), value("bool")
    moment = value("timestamp[us, tz=UTC]")
    video = {"reference": text, "sha256": text, "fps": real, "frames": whole, "width": whole, "height": whole}
    label = {
        "human": value("int8"),
        "model": value("int8"),
        "comparison": text,
        "confidence": real,
        "order_dependent": flag,
        "with_videos_exchanged": value("int8"),
        "rationale_before": text,
        "rationale_after": text,
        "rationale_edited": flag,
    }
    turn = {"reply": text, "outcome": text, "note": text, "served": several(whole), "forced": flag}
    frame = {"video": value("int8"), "slot": whole, "index": whole, "wanted": whole, "seconds": real, "turn": whole}
    rollout = {"stop": text, "forced": flag, "turns": several(turn), "frames": several({**frame, "file": text})}
    return datasets.Features(
        {
            "id": text,
            "project": whole,
            "task": whole,
            "annotation": whole,
            "annotator": text,
            "split": text,
            "prompt": text,
            "video1": video,
            "video2": video,
            "labels": {dimension.value: label for dimension in Dimension},
            "disagrees": flag,
            "exposure": text,
            "lead_time": real,
            "created_at": moment,
            "updated_at": moment,
            "model_version": text,
            "trace_source": text,
            "rollout": rollout,
            "problems": several(text),
        }
    )
