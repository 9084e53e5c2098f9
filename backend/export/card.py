"""The dataset card: what is in the folder, how to load it, and what it is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from backend.export.columns import COLUMNS, card_features
from backend.export.record import Exposure
from backend.export.writing import RECORDS, VIDEO_ALIGN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend.export.manifest import Manifest
    from backend.export.writing import Format

TEXT = """\
---
{front}---

# {title}: people's answers beside the model's

Made by `vrthinker export` {program} from Label Studio project {project}: {records} answers of {annotators} annotators
to {tasks} tasks, {disagreements} of them different from the model's. Model versions: {versions}.

Selection: {selection}.
{unselected}

## Files
| | |
|---|---|
| `{records_file}` | every record, one line per task and annotator |
{files}| `manifest.json` | options, counts and the SHA-256 of every file |

{pictures}

Train and validation are told apart by a hash of the prompt alone, about one in ten for validation: the same prompt is
always on the same side, in every export.

## One record
`labels` holds for TA (text alignment), MQ (motion quality), VQ (visual quality) and OA (overall) the person's and the
model's label: **1** Video 1 is better, **2** Video 2 is better, **0** a tie, null where there is none. `comparison`
is `agree`, `flip` (opposite winners), `model_tie` (the person sees a winner), `human_tie` (the model sees one) or
`missing`. `confidence` is the model's probability of its own label; `with_videos_exchanged` its label when the videos
had changed places, in the numbers of this row. `rationale_before` is what the model wrote, `rationale_after` what the
person left. `rollout` is the model's whole conversation with the frames that it looked at; `index` counts the frames
of the video file from 0.

## Seen or not seen
{exposure_table}

`shown`: the answer was made from this very prediction. `blind`: the judgement was never shown. `unknown`: it may have
been on the screen, but Label Studio does not link the answer to it. People who see an answer tend to accept it:
**never add up agreement over these three.** Records and trainers' rows carry the column `exposure`.

## Where the reasoning comes from
Trainers' rows end in the person's labels, never in the model's where the two differ. Who wrote the words before them
stands in the column `trace_source`:

{sources}

Nothing was made up to fill a gap. Keep the rows of `model` and `person` alone to teach reasoning. Beside a reply that
is labels alone, the reply that was not wanted is the model's labels alone. {examples}{unaligned}

## Privacy
{privacy} Prompts, videos and what people wrote are as they are in Label Studio: look at them before you publish this.
"""

NOTES = {
    "model": "the person agreed in all four dimensions: the model's own last reply, to the letter",
    "person": "the person rewrote the rationale of every label that they changed; others are the model's",
    "labels_only": "nobody wrote reasons for these labels: the reply is the answer alone",
}
REASONS = {
    "labels_missing": "the person did not label all four dimensions",
    "other_contract": "the conversation cannot be replayed word for word with the wording this program knows",
    "no_pictures": "the videos are gone or were changed; see the record's `problems`",
    "videos_unknown": "the judgement does not say how long and how fast its videos are",
}
PICTURES = """\
Pictures are PNG files under `frames/`, in the size in which the model saw them. Rows name them **relative to this
folder**: start your trainer here, or set its root for pictures (`ROOT_IMAGE_DIR` for ms-swift; LLaMA-Factory takes
the folder of `dataset_info.json`).

```python
from datasets import Image, List, load_dataset

rows = load_dataset("json", data_files="trl-sft/train.jsonl", split="train").cast_column("images", List(Image()))
```"""
NO_PICTURES = """\
There are no pictures, so the trainers' formats that need them were not written: export again with `--frames`. The
records say which frames of which video the model looked at."""


def dataset_card(manifest: Manifest, formats: Sequence[Format]) -> str:
    """The card as Markdown with the metadata that dataset hubs read."""
    counts, options = manifest.counts, manifest.options
    return TEXT.format(
        front=_front(manifest),
        title=" ".join(manifest.title.split()) or f"Project {manifest.project}",
        program=manifest.program,
        project=manifest.project,
        records_file=RECORDS,
        files="".join(f"| `{made.name}/` | for {made.reader} |\n" for made in formats if _has(manifest, made.name)),
        pictures=PICTURES if options["frames"] else NO_PICTURES,
        versions=", ".join(f"`{version}`" for version in manifest.model_versions),
        selection=_selection(options),
        unselected=_left_out(counts["left_out"]),
        exposure_table=_exposure(counts["exposure"]),
        sources=_sources(counts["examples"]),
        examples=_no_examples(counts["examples"]["none_because"]),
        unaligned=_unaligned(counts["no_video_align_row"]),
        privacy=_privacy(named=options["names"]),
        **{key: counts[key] for key in ("records", "annotators", "tasks", "disagreements")},
    )


def _front(manifest: Manifest) -> str:
    """Metadata with one configuration per format; JSON, which is YAML too.

    Only of JSON files, because `datasets` reads all configurations of one folder with one builder.
    """
    configs = [{"config_name": "records", "data_files": RECORDS, "default": True}]
    for folder in ("trl-sft", "trl-dpo", "ms-swift", "llama-factory", "message-list"):
        found: list[Any] = [
            {"split": split, "path": name}
            for split in ("train", "validation")
            for name in sorted(manifest.files)
            if name.startswith(f"{folder}/{split}.")
        ]
        if found:
            configs.append({"config_name": folder, "data_files": found})
    tags = ["video-preference", "reward-model", "human-feedback"]
    types = [{"config_name": "records", "features": card_features(COLUMNS)}]
    lines = {"tags": tags, "configs": configs, "dataset_info": types}
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())


def _has(manifest: Manifest, folder: str) -> bool:
    return any(name.startswith(f"{folder}/") for name in manifest.files)


def _selection(options: Mapping[str, Any]) -> str:
    said = [str(options["only"]), f"dimensions {', '.join(options['dimensions'])}"]
    for key, words in (
        ("annotators", "annotators"),
        ("since", "since"),
        ("model_version", "model version"),
        ("min_confidence", "confidence of at least"),
    ):
        value = options[key]
        if value not in (None, []):
            said.append(f"{words} {', '.join(value) if isinstance(value, list) else value}")
    return "; ".join(said)


def _left_out(counts: Mapping[str, int]) -> str:
    if not counts:
        return "No annotation was left out."
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in counts.items())
    return f"Annotations left out: {told}."


def _exposure(counts: Mapping[str, Any]) -> str:
    lines = [
        "| | records | dimension | agree | flip | model tie | human tie | missing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for exposure in Exposure:
        told = dict(counts[exposure.value])
        records = told.pop("records")
        for place, (dimension, kinds) in enumerate(told.items()):
            head = f"{exposure.value} | {records}" if place == 0 else " | "
            cells = " | ".join(str(kinds[kind]) for kind in ("agree", "flip", "model_tie", "human_tie", "missing"))
            lines.append(f"| {head} | {dimension} | {cells} |")
    return "\n".join(lines)


def _sources(examples: Mapping[str, Any]) -> str:
    counts = examples["trace_source"]
    return "\n".join(f"- `{name}` ({counts.get(name, 0)}): {meaning}" for name, meaning in NOTES.items())


def _no_examples(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return "Every record makes a training example."
    return f"Records that make no training example: {_because(reasons)}."


def _unaligned(reasons: Mapping[str, int]) -> str:
    return f"\nRecords without a row in `{VIDEO_ALIGN}/`: {_because(reasons)}." if reasons else ""


def _because(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{count} because {REASONS[reason]}" for reason, count in reasons.items())


def _privacy(*, named: bool) -> str:
    if named:
        return "**This dataset names the annotators**, because it was exported with `--names`."
    return (
        "Annotators are pseudonyms: the same for one person in every export of this project, another in every other "
        "project. What they are made with stays in the ledger."
    )
