"""Which files each format has, and what one record adds to them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING, Any

from backend.errors import SettingsError
from backend.export import formats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.export.conversation import Example
    from backend.export.folder import Draft
    from backend.export.formats import Unaligned
    from backend.export.record import Record

RECORDS = "records.jsonl"
PARQUET, VIDEO_ALIGN = "parquet", "video-align"
SPLITS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Case:
    """A record with its training example and the example's pictures in order; None where it makes none.

    `aligned` is its row for VideoAlign, or why there is none.
    """

    record: Record
    example: Example | None
    images: list[str]
    aligned: list[str] | Unaligned

    @property
    def trained(self) -> tuple[Example, dict[str, str]] | None:
        """The example and the columns that say what it is, which trainers pass over."""
        if self.example is None:
            return None
        told = {
            "id": self.record.name,
            "exposure": self.record.exposure.value,
            "trace_source": self.example.trace_source.value,
        }
        return self.example, told


@dataclass(frozen=True, slots=True)
class Format:
    """A format by the name that people give it.

    `write` adds one case, `finish` ends its files; `convert` makes others when all those are closed.
    """

    name: str
    reader: str
    needs_frames: bool
    write: Callable[[Draft, Case], None]
    finish: Callable[[Draft], None] = lambda _draft: None
    convert: Callable[[Draft], None] = lambda _draft: None


def add_line(draft: Draft, name: str, row: dict[str, Any]) -> None:
    """One more line of a JSON Lines file."""
    draft.sheet(name).write(_encoded(row) + b"\n", rows=1)


def _encoded(row: object) -> bytes:
    """Compact UTF-8; half a surrogate pair, which JSON can smuggle into a string, becomes a question mark."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _trl_sft(draft: Draft, case: Case) -> None:
    if trained := case.trained:
        example, told = trained
        row = formats.trl_sft(example, case.images) | told
        add_line(draft, f"trl-sft/{case.record.split}.jsonl", row)


def _trl_dpo(draft: Draft, case: Case) -> None:
    if (trained := case.trained) and is_pair(trained[0]):
        row = formats.trl_dpo(trained[0], case.images) | trained[1]
        add_line(draft, f"trl-dpo/{case.record.split}.jsonl", row)


def _ms_swift(draft: Draft, case: Case) -> None:
    if trained := case.trained:
        example, told = trained
        add_line(draft, f"ms-swift/{case.record.split}.jsonl", formats.ms_swift(example, case.images) | told)
        if is_pair(example):
            row = formats.ms_swift_pair(example, case.images) | told
            add_line(draft, f"ms-swift/{case.record.split}_pairs.jsonl", row)


def _llama_factory(draft: Draft, case: Case) -> None:
    if trained := case.trained:
        example, told = trained
        add_line(draft, f"llama-factory/{case.record.split}.jsonl", formats.llama_factory(example, case.images) | told)
        if is_pair(example):
            row = formats.llama_factory_pair(example, case.images) | told
            add_line(draft, f"llama-factory/{case.record.split}_pairs.jsonl", row)


def _dataset_info(draft: Draft) -> None:
    """At the top, because LLaMA-Factory looks for pictures beside it."""
    names = {
        f"vrthinker_{kind}": f"llama-factory/{kind}.jsonl" for split in SPLITS for kind in (split, f"{split}_pairs")
    }
    present = {name: file for name, file in names.items() if draft.begun(file)}
    draft.put("dataset_info.json", json.dumps(formats.dataset_info(present), indent=2).encode() + b"\n")


def _message_list(draft: Draft, case: Case) -> None:
    if trained := case.trained:
        sheet = draft.sheet(_array(case.record.split))
        row = formats.message_list(trained[0], case.images) | trained[1]
        sheet.write((b",\n" if sheet.rows else b"[\n") + _encoded(row), rows=1)


def _end_arrays(draft: Draft) -> None:
    for split in SPLITS:
        if draft.begun(_array(split)):
            draft.sheet(_array(split)).write(b"\n]\n")


def _array(split: str) -> str:
    return f"message-list/{split}.json"


def _video_align(draft: Draft, case: Case) -> None:
    if isinstance(case.aligned, list):
        sheet = draft.sheet(f"{VIDEO_ALIGN}/{case.record.split}.csv")
        if not sheet.rows:
            sheet.write(_csv(formats.VIDEOALIGN_COLUMNS))
        sheet.write(_csv(case.aligned), rows=1)


def _csv(values: Iterable[str]) -> bytes:
    line = StringIO()
    csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(values)  # else a bare CR would end a row
    return line.getvalue().encode("utf-8", "replace")


def _parquet(draft: Draft) -> None:
    from backend.export.parquet import write_parquet

    write_parquet(draft)


def is_pair(example: Example) -> bool:
    """Whether two different replies stand in it, one wanted and one not."""
    return example.chosen != example.rejected


def _nothing(_draft: Draft, _case: Case) -> None:
    """For a format that is made from the finished records."""


FORMATS = {
    made.name: made
    for made in (
        Format("trl-sft", "TRL's SFTTrainer", True, _trl_sft),
        Format("trl-dpo", "TRL's DPOTrainer", True, _trl_dpo),
        Format("ms-swift", "ms-swift: `swift sft`; the files `_pairs` for `swift rlhf`", True, _ms_swift),
        Format("llama-factory", "LLaMA-Factory, by `dataset_info.json`", True, _llama_factory, _dataset_info),
        Format("message-list", "VR-Thinker's own supervised training", True, _message_list, _end_arrays),
        Format(VIDEO_ALIGN, "VideoAlign's reward training", False, _video_align),
        Format(
            PARQUET, "the records, for `datasets` and everything that reads Parquet", False, _nothing, convert=_parquet
        ),
    )
}


def _possible(made: Format, *, frames: bool) -> bool:
    """Whether a format can be made here and now."""
    if made.name == PARQUET:
        return find_spec("datasets") is not None
    return frames or not made.needs_frames


def chosen_formats(names: Iterable[str], *, frames: bool) -> tuple[Format, ...]:
    """The formats of these names, in a fixed order; all that are possible where none is named.

    Raises:
        SettingsError: there is no such format, or it needs the pictures.
    """
    wanted = set(names) or {made.name for made in FORMATS.values() if _possible(made, frames=frames)}
    if unknown := sorted(wanted - FORMATS.keys()):
        raise SettingsError(f"There is no format {unknown[0]!r}. Formats: {', '.join(FORMATS)}.")
    chosen = tuple(made for made in FORMATS.values() if made.name in wanted)
    blocked = [made.name for made in chosen if made.needs_frames and not frames]
    if blocked:
        raise SettingsError(
            f"{', '.join(blocked)}: these rows point at the pictures that the model saw. Add --frames, "
            "which fetches the videos and writes them."
        )
    return chosen
