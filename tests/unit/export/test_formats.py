"""Each format, read by its reader: `datasets`, and a reading of its documented schema that knows no writer."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from backend.errors import MediaUnavailableError
from backend.export.dataset import ExportOptions, Videos, export_dataset
from backend.export.pictures import open_pairs
from backend.export.writing import FORMATS
from backend.frames import VideoPair
from backend.ledger import Ledger
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.reply import parse_reply
from backend.types import Answer, FrameRef
from tests.unit.export.people import MQ, OA, PROJECT, START, TA, TIE, VIDEO_1, VQ, People
from tests.unit.export.test_dataset import content, lines, rows
from tests.unit.export.videos import Studio
from tests.unit.label_studio.judgements import ODDS, judged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backend.export.manifest import Manifest

PICTURES = 14  # eight at first, three pairs asked for


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def crowd(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Five tasks about the two clips: two answers as the model's, three corrected; two prompts are for validation."""
    ledger = Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    people = People(ledger)
    for number in range(1, 6):
        prompt = f"prompt {number + 14} <image> <|im_end|>"
        people.task(number, studio.judged(prompt=prompt), prompt=prompt, videos=studio.references)
    people.answer(1)
    people.answer(2, {TA: VIDEO_1})
    people.answer(3, {MQ: VIDEO_1, OA: TIE}, reasons={MQ: "Video 2 stutters <image><video>.", OA: "<audio>: none."})
    people.answer(4, updated_at=START + timedelta(microseconds=123456))
    people.answer(5, {VQ: VIDEO_1}, linked=False)
    yield people
    ledger.close()


@pytest.fixture(scope="module")
def out(crowd: People, studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All formats with pictures."""
    out = tmp_path_factory.mktemp("export") / "set"
    export(crowd, out, studio.videos())
    return out


def export(people: People, out: Path, videos: Videos) -> Manifest:
    return export_dataset(people.ledger, ExportOptions(PROJECT, out, frames=True), videos)


def loaded(out: Path, name: str, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """A format, as `datasets` loads the folder by its card, or the files by their kind."""
    import datasets

    datasets.disable_progress_bars()
    told = {"cache_dir": str(tmp_path / "cache")}
    if kind := {"parquet": "parquet", "video-align": "csv"}.get(name):
        files = {split: str(next((out / name).glob(f"{split}.*"))) for split in ("train", "validation")}
        found = datasets.load_dataset(kind, data_files=files, **told)
    else:
        found = datasets.load_dataset(str(out), name, **told)
    return {split: [dict(row) for row in found[split]] for split in found}


def both(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [row for split in ("train", "validation") for row in found.get(split, [])]


def is_picture(out: Path, name: str) -> bool:
    with Image.open(out / name) as picture:
        return picture.size == VRTHINKER_128.image_size


@pytest.mark.parametrize("name", ["records", *FORMATS])
def test_every_format_loads(out: Path, name: str, tmp_path: Path) -> None:
    found = loaded(out, name, tmp_path)
    assert set(found) == ({"train"} if name == "records" else {"train", "validation"})
    assert len(both(found)) == (3 if name == "trl-dpo" else 5)


def test_pictures_are_those_that_the_model_saw(out: Path, studio: Studio) -> None:
    row = rows(out)[0]
    frames = row["rollout"]["frames"]
    refs = [FrameRef(frame["video"], frame["slot"]) for frame in frames]
    with VideoPair.open(*studio.paths, VRTHINKER_128) as pair:
        for frame, seen in zip(frames, pair.frames(refs), strict=True):
            with Image.open(out / frame["file"]) as picture:
                assert picture.tobytes() == seen.image.tobytes()
    assert {frame["file"].split("/")[1] for frame in frames} == {
        row["video1"]["sha256"][:16],
        row["video2"]["sha256"][:16],
    }


def test_videos_have_the_digest_of_their_files(out: Path, studio: Studio) -> None:
    import hashlib

    for row in rows(out):
        for number, path in enumerate(studio.paths, 1):
            assert row[f"video{number}"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def _images_asked_for(messages: list[dict[str, Any]]) -> int:
    return sum(part["type"] == "image" for message in messages for part in message["content"])


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] or "" for part in message["content"])


def test_trl_sft_is_a_conversation_with_as_many_pictures_as_it_asks_for(out: Path, tmp_path: Path) -> None:
    for row in both(loaded(out, "trl-sft", tmp_path)):
        assert [message["role"] for message in row["prompt"]] == ["system", "user", "assistant", "user"]
        [reply] = row["completion"]
        assert _images_asked_for(row["prompt"]) == len(row["images"]) == PICTURES
        assert isinstance(parse_reply(_text(reply), VRTHINKER_128), Answer)
        assert all(is_picture(out, name) for name in row["images"])


def test_trl_dpo_prefers_the_person_s_labels_to_the_model_s(out: Path, tmp_path: Path) -> None:
    by_id = {row["id"]: row for row in rows(out)}
    for row in both(loaded(out, "trl-dpo", tmp_path)):
        assert row["prompt"][-1]["role"] == "user"
        assert _images_asked_for(row["prompt"]) == len(row["images"])
        for column, side in (("chosen", "human"), ("rejected", "model")):
            [message] = row[column]
            answer = parse_reply(_text(message), VRTHINKER_128)
            assert isinstance(answer, Answer)
            labels = by_id[row["id"]]["labels"]
            assert {d.value: int(p) for d, p in answer.labels.items()} == {d: labels[d][side] for d in labels}


def marked(row: dict[str, Any]) -> int:
    return sum(text.count("<image>") for text in texts_of(row))


def texts_of(row: dict[str, Any]) -> list[str]:
    return [one["content"] for one in (*row["messages"], *(row[key] for key in ("chosen", "rejected") if key in row))]


@pytest.mark.parametrize(
    ("name", "count"), [("train", 3), ("validation", 2), ("train_pairs", 1), ("validation_pairs", 2)]
)
@pytest.mark.parametrize("folder", ["ms-swift", "llama-factory"])
def test_marked_rows_have_one_mark_for_each_picture(out: Path, folder: str, name: str, count: int) -> None:
    found = lines(out / folder / f"{name}.jsonl")
    assert len(found) == count
    for row in found:
        assert marked(row) == len(row["images"]) == PICTURES, "a literal <image> in outside text is no mark"
        assert not any(mark in text for text in texts_of(row) for mark in ("<video>", "<audio>"))
        roles = [message["role"] for message in row["messages"]]
        assert roles[0] == "system"
        assert roles[1:] == ["user", "assistant"] * (len(roles) // 2) or roles[1:] == ["user", "assistant", "user"]


def test_ms_swift_pairs_hold_the_reply_that_was_not_wanted(out: Path) -> None:
    for row in lines(out / "ms-swift" / "train_pairs.jsonl"):
        assert row["messages"][-1]["role"] == "assistant"
        assert row["rejected_response"] != row["messages"][-1]["content"]


def test_llama_factory_finds_every_file_and_column_by_dataset_info(out: Path) -> None:
    told = json.loads((out / "dataset_info.json").read_text())
    assert set(told) == {f"vrthinker_{split}{kind}" for split in ("train", "validation") for kind in ("", "_pairs")}
    for name, dataset in told.items():
        assert dataset["formatting"] == "sharegpt"
        assert dataset["ranking"] is name.endswith("_pairs")
        for row in lines(out / dataset["file_name"]):
            for column in dataset["columns"].values():
                assert column in row
            for message in row["messages"]:
                assert set(message) == {dataset["tags"]["role_tag"], dataset["tags"]["content_tag"]}
            assert all(is_picture(out, image) for image in row["images"])
        ends = {row["messages"][-1]["role"] for row in lines(out / dataset["file_name"])}
        assert ends == {"user" if dataset["ranking"] else "assistant"}


def test_a_message_list_names_its_pictures_in_place(out: Path) -> None:
    found = json.loads((out / "message-list" / "train.json").read_text())
    assert len(found) == 3
    for row in found:
        parts = [part for message in row["message_list"] for part in message["content"]]
        assert all(is_picture(out, part["image"]) for part in parts if part["type"] == "image")
        assert sum(part["type"] == "image" for part in parts) == PICTURES
        assert row["message_list"][-1]["role"] == "assistant"


def test_video_align_has_the_columns_of_its_guide(out: Path, studio: Studio) -> None:
    with (out / "video-align" / "train.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["VQ"] for row in found] == ["same", "same", "same"]
    assert [row["MQ"] for row in found] == ["B", "A", "B"]
    first = found[0]
    assert (first["path_A"], first["path_B"]) == studio.references
    assert (first["fps_A"], first["num_frames_A"], first["fps_B"], first["num_frames_B"]) == ("24", "120", "24", "120")
    assert first["prompt"] == "prompt 15 <image> <|im_end|>"


def test_video_align_finds_local_files_below_a_folder_and_one_row_for_each_prompt(
    people: People, studio: Studio, tmp_path: Path
) -> None:
    import datasets

    prompt = 'a cat\rjumps,\nthen "sits"'
    judgement = studio.judged(prompt=prompt)
    people.task(1, judgement, prompt=prompt, videos=("/data/local-files/?d=videos/a%20b.mp4", "s3://bucket/b.mp4"))
    people.answer(1)
    export_dataset(people.ledger, ExportOptions(PROJECT, tmp_path / "set"))
    (file,) = (tmp_path / "set" / "video-align").glob("*.csv")
    (row,) = datasets.load_dataset("csv", data_files=str(file), cache_dir=str(tmp_path / "cache"), split="train")
    assert (row["path_A"], row["path_B"], row["prompt"]) == ("videos/a b.mp4", "s3://bucket/b.mp4", prompt)
    assert (row["fps_A"], row["num_frames_A"]) == (24, 120)


def test_records_whose_columns_are_filled_late_load_by_the_card(out: Path, tmp_path: Path) -> None:
    late = tmp_path / "set"
    late.mkdir()
    shutil.copy(out / "README.md", late)
    first = rows(out)[0]
    empty = first | {"problems": [], "trace_source": None, "lead_time": None}
    sure = {name: label | {"confidence": 0.75} for name, label in first["labels"].items()}
    line = json.dumps(empty) + "\n"
    with (late / "records.jsonl").open("w") as file:
        for _ in range(11_000_000 // len(line)):  # `datasets` guesses from the first 10 MiB
            file.write(line)
        file.write(json.dumps(first | {"problems": ["at last"], "labels": sure}) + "\n")
    found = loaded(late, "records", tmp_path)["train"]
    assert (found[0]["problems"], found[-1]["problems"]) == ([], ["at last"])
    assert [found[place]["labels"]["TA"]["confidence"] for place in (0, -1)] == [None, 0.75]


def test_parquet_holds_the_very_records(out: Path, tmp_path: Path) -> None:
    found = {row["id"]: row for row in both(loaded(out, "parquet", tmp_path))}
    times = ("created_at", "updated_at")
    for row in found.values():
        row.update({name: row[name].isoformat() for name in times})
    assert found == {row["id"]: row for row in rows(out)}


def test_the_same_videos_give_the_same_bytes(crowd: People, studio: Studio, out: Path, tmp_path: Path) -> None:
    export(crowd, tmp_path / "again", studio.videos())
    assert content(tmp_path / "again") == content(out)


def test_a_video_that_was_changed_gives_no_pictures_and_no_examples(
    people: People, studio: Studio, tmp_path: Path
) -> None:
    other = Studio(tmp_path)
    prompt = "a red panda"
    people.task(1, studio.judged(prompt=prompt), prompt=prompt, videos=other.references)
    people.answer(1)
    with other.paths[1].open("ab") as file:
        file.write(b"\0")
    manifest = export(people, tmp_path / "set", other.videos())
    assert manifest.counts["examples"]["none_because"] == {"no_pictures": 1}
    [row] = rows(tmp_path / "set")
    assert row["problems"] == ["no pictures: Video 2 was changed after it was judged"]
    for name in ("trl-sft", "video-align", "frames"):
        assert not (tmp_path / "set" / name).exists()
    assert manifest.counts["no_video_align_row"] == {"no_pictures": 1}
    assert "without a row in `video-align/`: 1 because the videos are gone" in (tmp_path / "set/README.md").read_text()
    assert people.ledger.exported(PROJECT) == {}, "the video may be there again for --since last"


def test_what_is_only_of_use_to_video_align_waits_for_its_videos_too(people: People, tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    judgement = studio.judged(prompt="x")
    first, *rest = judgement.turns
    people.task(1, replace(judgement, turns=(replace(first, served=()), *rest)), prompt="x", videos=studio.references)
    people.answer(1)
    video = studio.paths[1]
    away = video.rename(tmp_path / "away")
    manifest = export(people, tmp_path / "set", studio.videos())
    assert manifest.counts["examples"]["none_because"] == {"other_contract": 1}
    assert manifest.counts["no_video_align_row"] == {"no_pictures": 1}
    away.rename(video)
    told = ExportOptions(PROJECT, tmp_path / "set", since_last=True, frames=True)
    manifest = export_dataset(people.ledger, told, studio.videos())
    assert manifest.counts["no_video_align_row"] == {}
    assert any(name.startswith("video-align/") for name in manifest.files)


def test_what_video_align_cannot_use_is_counted_where_it_is_asked_for(people: People, tmp_path: Path) -> None:
    people.task(1)
    people.task(2, replace(judged(odds=ODDS), clips=()))
    people.judgements[2] = people.judgements[1]  # from which the answer is made
    people.answer(1, {MQ: None})
    people.answer(2)
    counts = [
        export_dataset(people.ledger, ExportOptions(PROJECT, tmp_path / name, formats=(name,))).counts
        for name in ("video-align", "parquet")
    ]
    assert [one["no_video_align_row"] for one in counts] == [{"labels_missing": 1, "videos_unknown": 1}, {}]


class Unavailable:
    """A test double: a fetcher that has nothing right now, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, reference: str, task: int | None = None) -> AbstractContextManager[Path]:
        self.asked += 1
        raise MediaUnavailableError(f"{reference} timed out")


def test_a_video_that_cannot_be_had_is_asked_for_once_and_told(people: People, studio: Studio, tmp_path: Path) -> None:
    people.task(1, studio.judged(prompt="x"), prompt="x", videos=studio.references)
    people.answer(1, user=1)
    people.answer(1, user=2)
    fetcher = Unavailable()
    export(people, tmp_path / "set", Videos(fetcher, open_pairs()))
    assert fetcher.asked == 1
    assert all("timed out" in row["problems"][0] for row in rows(tmp_path / "set"))
