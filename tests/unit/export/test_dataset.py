"""A dataset as a person gets it: every file, its counts, and the same bytes each time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import ExportError, LabelConfigError, NothingToExportError, SettingsError
from backend.export import folder
from backend.export.dataset import ExportOptions, export_dataset
from backend.export.selection import Selection
from backend.ledger import Ledger, Project
from tests.unit.export.people import MQ, OA, PROJECT, START, TA, TIE, VIDEO_1, VQ, People
from tests.unit.label_studio.judgements import ODDS, judged

if TYPE_CHECKING:
    from pathlib import Path

    from backend.export.manifest import Manifest


def filled(people: People) -> People:
    """Eight tasks: some corrected, some by two people, one skipped, one made in bulk, one only half answered."""
    for number in range(1, 9):
        people.task(number, prompt=f"prompt {number + 14}")
    people.answer(1)
    people.answer(2, {TA: VIDEO_1})
    people.answer(3, {MQ: VIDEO_1, OA: TIE}, reasons={MQ: "Video 2 stutters.", OA: "Neither is good."})
    people.answer(4, user=1)
    people.answer(4, {VQ: VIDEO_1}, user=2)
    people.answer(5, was_cancelled=True)
    people.answer(6, lead_time=None)
    people.answer(7, {VQ: None})
    people.answer(8, linked=False)
    return people


def export(people: People, out: Path, selection: Selection | None = None, **options: Any) -> Manifest:  # noqa: ANN401  # of ExportOptions
    told = ExportOptions(PROJECT, out, selection or Selection(), **options)
    return export_dataset(people.ledger, told)


def rows(out: Path) -> list[dict[str, Any]]:
    return lines(out / "records.jsonl")


def lines(path: Path) -> list[dict[str, Any]]:
    """Split at line ends alone: texts may hold U+2028 and its like."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def content(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_dataset_tells_what_is_in_it_and_what_is_not(people: People, tmp_path: Path) -> None:
    manifest = export(filled(people), tmp_path / "set")
    assert [row["id"] for row in rows(tmp_path / "set")] == [
        "7-1-1",
        "7-2-2",
        "7-3-3",
        "7-4-4",
        "7-4-5",
        "7-7-8",
        "7-8-9",
    ]
    counts = manifest.counts
    assert {key: counts[key] for key in ("records", "tasks", "annotators", "disagreements")} == {
        "records": 7,
        "tasks": 6,
        "annotators": 2,
        "disagreements": 3,
    }
    assert counts["left_out"] == {"bulk": 1, "skipped": 1}
    assert counts["examples"] == {
        "total": 6,
        "with_two_replies": 3,
        "trace_source": {"labels_only": 2, "model": 3, "person": 1},
        "none_because": {"labels_missing": 1},
    }


def test_agreement_is_counted_apart_by_what_people_had_seen(people: People, tmp_path: Path) -> None:
    exposure = export(filled(people), tmp_path / "set").counts["exposure"]
    assert {name: told["records"] for name, told in exposure.items()} == {"shown": 6, "blind": 0, "unknown": 1}
    assert exposure["shown"]["VQ"] == {"agree": 4, "flip": 0, "model_tie": 1, "human_tie": 0, "missing": 1}
    assert exposure["unknown"]["VQ"]["agree"] == 1


def test_a_row_holds_both_sides_of_every_dimension(people: People, tmp_path: Path) -> None:
    swapped = judged(odds=ODDS)
    judgement = replace(judged(odds=ODDS), swapped=swapped)
    verdicts = {d: replace(v, order_dependent=d is TA) for d, v in judgement.verdicts.items()}
    people.task(1, replace(judgement, verdicts=verdicts))
    people.answer(1, {TA: VIDEO_1}, reasons={TA: "Mine."})
    export(people, tmp_path / "set")
    [row] = rows(tmp_path / "set")
    label = row["labels"]["TA"]
    assert label["rationale_before"].startswith("both show a white paper plane")
    assert {key: label[key] for key in label if key != "rationale_before"} == {
        "human": 1,
        "model": 2,
        "comparison": "flip",
        "confidence": pytest.approx(0.71),
        "order_dependent": True,
        "with_videos_exchanged": 1,
        "rationale_after": "Mine.",
        "rationale_edited": True,
    }
    assert row["video1"] == {
        "reference": "/a.mp4", "sha256": None, "fps": 24.0, "frames": 96, "width": 640, "height": 368
    }  # fmt: skip
    assert [turn["outcome"] for turn in row["rollout"]["turns"]] == ["select_frames", "answer"]
    assert len(row["rollout"]["frames"]) == 14
    assert row["rollout"]["frames"][0] == {
        "video": 1, "slot": 16, "index": 12, "wanted": 12, "seconds": 0.5, "turn": 0, "file": None
    }  # fmt: skip
    assert (row["exposure"], row["trace_source"], row["lead_time"]) == ("shown", "person", 12.5)


def test_every_file_is_listed_with_its_checksum(people: People, tmp_path: Path) -> None:
    export(filled(people), tmp_path / "set")
    files = content(tmp_path / "set")
    told = json.loads(files.pop("manifest.json"))["files"]
    assert told.keys() == files.keys()
    for name, content_of in files.items():
        assert told[name]["sha256"] == hashlib.sha256(content_of).hexdigest()
        assert told[name]["bytes"] == len(content_of)
    assert told["records.jsonl"]["rows"] == 7


def test_the_same_ledger_and_options_give_the_same_bytes(people: People, tmp_path: Path) -> None:
    filled(people)
    export(people, tmp_path / "one")
    export(people, tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_only_what_no_export_holds_comes_with_since_last(people: People, tmp_path: Path) -> None:
    filled(people)
    export(people, tmp_path / "all")
    with pytest.raises(NothingToExportError, match="7 not_selected"):
        export(people, tmp_path / "more", since_last=True)
    assert not (tmp_path / "more").exists()
    # Told late, with an old time: what counts is what was exported, not when anything happened.
    people.answer(1, {TA: TIE}, user=3, updated_at=START - timedelta(days=9))
    people.answer(2, {TA: TIE}, id=2)
    export(people, tmp_path / "more", since_last=True)
    assert [row["id"] for row in rows(tmp_path / "more")] == ["7-1-10", "7-2-2"]


def test_what_a_selection_left_out_is_still_new_for_the_next_one(people: People, tmp_path: Path) -> None:
    filled(people)
    export(people, tmp_path / "wrong", Selection("disagreements"), since_last=True)
    export(people, tmp_path / "right", Selection("agreements"), since_last=True)
    wrong, right = ({row["id"] for row in rows(tmp_path / name)} for name in ("wrong", "right"))
    assert (len(wrong), len(right)) == (3, 4)
    assert not wrong & right


def test_an_export_that_failed_marks_nothing(people: People, tmp_path: Path) -> None:
    filled(people)
    (tmp_path / "set").write_text("in the way")
    with pytest.raises(ExportError):
        export(people, tmp_path / "set", since_last=True)
    assert people.ledger.exported(PROJECT) == {}


def test_annotators_are_pseudonyms_that_stay_the_same(people: People, tmp_path: Path) -> None:
    filled(people)
    export(people, tmp_path / "one")
    export(people, tmp_path / "two", Selection(annotators=("2",)))
    one = {row["annotation"]: row["annotator"] for row in rows(tmp_path / "one")}
    [two] = rows(tmp_path / "two")
    assert two["annotator"] == one[5] != one[4]
    assert one[5].startswith("annotator-")
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["options"]["annotators"] == [one[5]]
    export(people, tmp_path / "three", Selection(annotators=(one[5],)))
    assert rows(tmp_path / "three") == [two]


def test_the_salt_of_pseudonyms_is_in_no_file(people: People, tmp_path: Path) -> None:
    export(filled(people), tmp_path / "set")
    salt = people.ledger.pseudonym_salt(PROJECT)
    assert len(salt) == 32
    assert all(salt not in file and salt.hex().encode() not in file for file in content(tmp_path / "set").values())


def test_another_ledger_gives_other_pseudonyms(people: People, tmp_path: Path) -> None:
    other = Ledger.open(f"sqlite:///{tmp_path}/other.db")
    assert other.pseudonym_salt(PROJECT) != people.ledger.pseudonym_salt(PROJECT)
    assert other.pseudonym_salt(PROJECT) == other.pseudonym_salt(PROJECT)
    other.close()


def test_names_stand_there_only_when_they_are_given(people: People, tmp_path: Path) -> None:
    export(filled(people), tmp_path / "set", names={1: "ann@example.org"})
    assert {row["annotator"] for row in rows(tmp_path / "set")} == {"ann@example.org", "user 2"}
    assert "names the annotators" in (tmp_path / "set" / "README.md").read_text()


def test_a_text_that_no_file_can_hold_is_written_with_question_marks(people: People, tmp_path: Path) -> None:
    people.task(1)
    people.answer(1, {TA: VIDEO_1}, reasons={TA: "half \ud83d of it"})
    export(people, tmp_path / "set")
    assert rows(tmp_path / "set")[0]["labels"]["TA"]["rationale_after"] == "half ? of it"


def test_an_unknown_project_is_told_with_the_known_ones(people: People, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"does not know project 9; it knows: 7.*vrthinker sync 9"):
        export_dataset(people.ledger, ExportOptions(9, tmp_path / "set"))


def test_a_config_that_is_not_for_pairs_is_told_and_nothing_is_written(people: People, tmp_path: Path) -> None:
    filled(people).ledger.remember_project(Project(PROJECT, "", "<View/>"))
    with pytest.raises(LabelConfigError):
        export(people, tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir() if "set" in path.name] == []


def test_nothing_left_says_why(people: People, tmp_path: Path) -> None:
    filled(people)
    with pytest.raises(NothingToExportError, match="1 bulk, 1 not_judged, 6 not_selected, 1 skipped"):
        export(people, tmp_path / "set", Selection(model_version="another"))
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("formats", "told"),
    [(("trl_sft",), "no format 'trl_sft'.*trl-sft"), (("trl-sft", "parquet"), "trl-sft: .* Add --frames")],
)
def test_a_format_that_cannot_be_is_refused_at_once(
    people: People, tmp_path: Path, formats: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        export(filled(people), tmp_path / "set", formats=formats)


def test_a_disk_that_fills_up_halfway_leaves_the_earlier_dataset(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(filled(people), tmp_path / "set")
    before = content(tmp_path / "set")

    class Full(folder.Sheet):
        """A test double: room for three rows."""

        def write(self, content: bytes, *, rows: int = 0) -> None:
            if self.rows == 3:
                raise OSError(28, "No space left on device")
            super().write(content, rows=rows)

    monkeypatch.setattr(folder, "Sheet", Full)
    with pytest.raises(ExportError, match="full; nothing was written"):
        export(people, tmp_path / "set")
    assert content(tmp_path / "set") == before
    assert sorted(path.name for path in tmp_path.iterdir() if "set" in path.name) == ["set"]


def test_pictures_without_videos_are_a_mistake_of_the_caller(people: People, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to fetch videos with"):
        export(filled(people), tmp_path / "set", frames=True)


def test_progress_is_told_from_start_to_end(people: People, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    options = ExportOptions(PROJECT, tmp_path / "set")
    export_dataset(filled(people).ledger, options, observe=lambda done, total: told.append((done, total)))
    assert told == [(0, 9), (9, 9)]


def test_a_ledger_from_before_exports_is_taken_as_it_is(people: People, tmp_path: Path) -> None:
    filled(people)
    with people.ledger._write() as db:
        for table in ("exported", "pseudonym_salt"):
            db.exec_driver_sql(f"DROP TABLE {table}")
    again = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert again.exported(PROJECT) == {}
    assert len(again.pseudonym_salt(PROJECT)) == 32
    again.close()
