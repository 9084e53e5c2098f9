"""A dataset folder is there whole or not at all, and nothing that is somebody's is ever lost."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest

from backend.errors import ExportError
from backend.export.folder import KIND, MANIFEST, Sheet, Written, drafting

if TYPE_CHECKING:
    from pathlib import Path


def write(target: Path, **files: str) -> None:
    """An export of these files."""
    with drafting(target) as draft:
        for name, text in files.items():
            draft.sheet(name).write(text.encode(), rows=1)
        draft.close()
        manifest = {"kind": KIND, "files": {name: {} for name in draft.files}}
        (draft.folder / MANIFEST).write_text(json.dumps(manifest))


def shown(target: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in target.iterdir() if path.name != MANIFEST}


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_files_appear_with_their_checksums_and_nothing_else_stays(tmp_path: Path) -> None:
    with drafting(tmp_path / "new" / "set") as draft:
        draft.sheet("a/b.jsonl").write(b"one\n", rows=1)
        draft.sheet("a/b.jsonl").write(b"two\n", rows=1)
        draft.put("c.txt", b"whole")
        assert not (tmp_path / "new" / "set").exists()
        draft.close()
        (draft.folder / "d.bin").write_bytes(b"\0")
        draft.note("d.bin", 5)
    assert (tmp_path / "new" / "set" / "a" / "b.jsonl").read_bytes() == b"one\ntwo\n"
    assert draft.files == {
        "a/b.jsonl": Written(8, hashlib.sha256(b"one\ntwo\n").hexdigest(), 2),
        "c.txt": Written(5, hashlib.sha256(b"whole").hexdigest()),
        "d.bin": Written(1, hashlib.sha256(b"\0").hexdigest(), 5),
    }
    assert left_behind(tmp_path / "new") == []


def test_an_earlier_dataset_is_replaced_whole(tmp_path: Path) -> None:
    write(tmp_path / "set", a="1", b="1")
    write(tmp_path / "set", a="2")
    assert shown(tmp_path / "set") == {"a": "2"}
    assert left_behind(tmp_path) == []


def test_a_failed_export_leaves_the_earlier_dataset_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "set", a="1")
    with pytest.raises(TypeError), drafting(tmp_path / "set") as draft:
        draft.sheet("a").write("text where bytes belong")  # type: ignore[arg-type]
    assert shown(tmp_path / "set") == {"a": "1"}
    assert left_behind(tmp_path) == []


def test_what_a_crash_left_half_written_is_cleared(tmp_path: Path) -> None:
    partial = tmp_path / ".set.partial"
    (partial / "frames").mkdir(parents=True)
    (partial / "frames" / "x.png").write_text("half")
    (partial / "records.jsonl").write_text("half")
    write(tmp_path / "set", a="1")
    assert shown(tmp_path / "set") == {"a": "1"}
    assert left_behind(tmp_path) == []


def test_a_dataset_that_a_crash_left_aside_is_put_back_first(tmp_path: Path) -> None:
    write(tmp_path / "set", a="1")
    (tmp_path / "set").rename(tmp_path / ".set.replaced")
    with pytest.raises(ZeroDivisionError), drafting(tmp_path / "set"):
        raise ZeroDivisionError
    assert shown(tmp_path / "set") == {"a": "1"}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_the_dataset_goes_where_it_points(tmp_path: Path, there: bool) -> None:
    link, disk = tmp_path / "set", tmp_path / "disk"
    disk.mkdir()
    if there:
        (disk / "may").mkdir()
    link.symlink_to(disk / "may")
    for turn in ("1", "2", "3"):
        write(link, a=turn)
        assert link.is_symlink()
        assert shown(disk / "may") == {"a": turn}
    assert left_behind(tmp_path) == left_behind(disk) == []
    (disk / "may" / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"thesis\.txt"):
        write(link, a="4")


@pytest.mark.parametrize("leads_to", ["elsewhere", "nowhere"])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_link_that_stands_aside_is_in_nobodys_way(tmp_path: Path, leads_to: str, earlier: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis.txt").write_text("mine")
    (tmp_path / ".set.replaced").symlink_to(tmp_path / leads_to)
    if earlier:
        (tmp_path / "set").mkdir()
    write(tmp_path / "set", a="1")
    assert shown(tmp_path / "set") == {"a": "1"}
    assert left_behind(tmp_path) == []
    assert (tmp_path / "elsewhere" / "thesis.txt").exists()


def test_links_in_a_circle_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "set").symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(tmp_path / "set")
    with pytest.raises(ExportError, match="cannot be written"):
        write(tmp_path / "set", a="1")


def test_another_export_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".set.partial").mkdir()
    held = os.open(tmp_path / ".set.partial", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(ExportError, match="Another command is writing"), drafting(tmp_path / "set"):
        pytest.fail("it began to write")
    os.close(held)
    write(tmp_path / "set", a="1")


@pytest.mark.parametrize("inside", ["thesis.txt", "deep/er.txt"])
def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, inside: str) -> None:
    target = tmp_path / "set"
    write(target, a="1")
    (target / inside).parent.mkdir(exist_ok=True)
    (target / inside).write_text("mine")
    with pytest.raises(ExportError, match=inside), drafting(target):
        pytest.fail("it began to write")
    assert (target / inside).read_text() == "mine"
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("manifest", ["not JSON", "[]", '{"kind": "another program\'s"}'])
def test_a_manifest_of_another_program_does_not_count(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / MANIFEST).write_text(manifest)
    with pytest.raises(ExportError, match=MANIFEST), drafting(tmp_path / "set"):
        pytest.fail("it began to write")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write(tmp_path / "set", a="1")
    assert shown(tmp_path / "set") == {"a": "1"}


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("")
    with pytest.raises(ExportError, match="is a file"), drafting(tmp_path / "set"):
        pytest.fail("it began to write")


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "set", a="1")
    with pytest.raises(ExportError, match="full; nothing was written"), drafting(tmp_path / "set"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert shown(tmp_path / "set") == {"a": "1"}
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="there is no device that is always full")
def test_a_sheet_on_a_full_disk_fails_when_it_is_closed_at_the_latest(tmp_path: Path) -> None:
    full = os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb")
    sheet = Sheet(full)
    sheet.write(b"x")
    with pytest.raises(ExportError, match="full; nothing was written"), drafting(tmp_path / "set"):
        sheet.close()
    full.raw.close()
    assert not (tmp_path / "set").exists()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"), drafting(tmp_path / "file" / "set"):
        pytest.fail("it began to write")
