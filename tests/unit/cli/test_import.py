"""`init --import`: bad rows are listed, good ones imported or none, and nothing twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pyarrow
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from backend.cli import build_app
from backend.cli.importing import MOST_LINES, ImportReport
from backend.errors import LabelStudioUnavailableError, SettingsError
from backend.label_studio.importing import BadRow, Checked
from backend.label_studio.media.source import Remote, locate
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio
from tests.unit.label_studio.servers import serving
from tests.unit.requests import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GOOD = [{"video1": f"http://h/{n}a.mp4", "video2": f"http://h/{n}b.mp4", "prompt": f"panda {n}"} for n in (1, 2, 3)]
OPTIONS = ("init", "--project", "1", "--backend-url", "http://backend:9090", "--json")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLabelStudio]:
    fake = FakeLabelStudio()
    fake.project |= {"label_config": CONFIG, "task_number": 0}
    with serving(fake) as server:
        monkeypatch.setenv("LABEL_STUDIO_URL", server.url)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "legacy-token")
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
        monkeypatch.chdir(tmp_path)
        yield fake


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(build_app(), [*OPTIONS, "--import", str(path), *options])


def told(result: Result) -> Any:  # noqa: ANN401  # JSON
    return json.loads(result.stdout)["import"]


def as_csv(path: Path, rows: list[dict[str, str]]) -> None:
    names = list(rows[0])
    path.write_text("\n".join([",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]))


def as_jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("\n\n".join(json.dumps({"data": row}) for row in rows), encoding="utf-8-sig")


def as_parquet(path: Path, rows: list[dict[str, str]]) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.mark.parametrize(("name", "write"), [("a.csv", as_csv), ("a.jsonl", as_jsonl), ("a.parquet", as_parquet)])
def test_each_kind_of_file_is_imported_once_however_often(
    fake: FakeLabelStudio, tmp_path: Path, name: str, write: Callable[[Path, list[dict[str, str]]], None]
) -> None:
    write(tmp_path / name, [{**row, "set": "may"} for row in GOOD])
    first, again = run(tmp_path / name), run(tmp_path / name)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert (told(first)["imported"], told(again)["imported"], told(again)["already"]) == (3, 0, 3)
    assert told(first)["videos_not_looked_at"] == 6
    assert [task["data"] for task in fake.tasks.values()] == [{**row, "set": "may"} for row in GOOD]


ROWS = [
    {"video1": "clips/a.mp4", "video2": "clips/b.mp4", "prompt": "a red panda"},
    {"video1": "clips/a.mp4", "video2": "clips/b.mp4"},
    {"video1": "clips/a.mp4", "prompt": "x"},
    {"video1": "clips/a.mp4", "video2": "clips/gone.mp4", "prompt": "x"},
    {"video1": "/data/local-files/?d=clips/a.mp4", "video2": "clips/b.mp4", "prompt": "a red panda"},
    {"video1": "clips/b.mp4", "video2": "clips/a.mp4", "prompt": "a red panda"},
]
PROBLEMS = {2: "'prompt'", 3: "'video2'", 4: "there is no file", 5: "is in row 1"}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    (tmp_path / "files" / "clips").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "files" / "clips" / f"{name}.mp4").write_bytes(b"x")
    return tmp_path / "files"


def test_bad_rows_are_listed_and_the_good_ones_imported(fake: FakeLabelStudio, tmp_path: Path, clips: Path) -> None:
    as_jsonl(tmp_path / "pairs.jsonl", ROWS)
    result = run(tmp_path / "pairs.jsonl", "--files-root", str(clips))
    assert result.exit_code == 1
    refused = {one["row"]: one["problem"] for one in told(result)["refused"]}
    for (row, words), (number, problem) in zip(PROBLEMS.items(), refused.items(), strict=True):
        assert number == 2 * row - 1, "blank lines count as an editor counts them"
        assert words in problem
    assert [task["data"]["video1"] for task in fake.tasks.values()] == [
        "/data/local-files/?d=clips/a.mp4",
        "/data/local-files/?d=clips/b.mp4",
    ]


@pytest.mark.parametrize("name", ["my clip.mp4", "a&b+c.mp4", "clip #1.mp4", "ネコ.mp4", "100%.mp4", "my%20clip.mp4"])
def test_a_file_may_have_any_name(fake: FakeLabelStudio, tmp_path: Path, clips: Path, name: str) -> None:
    (clips / "clips" / name).write_bytes(b"x")
    as_jsonl(tmp_path / "a.jsonl", [{"video1": f"clips/{name}", "video2": "clips/b.mp4", "prompt": "a red panda"}])
    result = run(tmp_path / "a.jsonl", "--files-root", str(clips))
    assert (result.exit_code, told(result)["imported"]) == (0, 1)
    [task] = fake.tasks.values()
    found = locate(task["data"]["video1"], None, "http://label-studio:8080", ())
    assert isinstance(found, Remote)
    assert parse_qs(found.url.query.decode())["d"] == [f"clips/{name}"], "what Label Studio makes of the address"


@pytest.mark.usefixtures("fake")
def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "a.jsonl").write_text(r'{"video1": "clips/\ud800.mp4", "video2": "clips/b.mp4", "prompt": "x"}')
    [refused] = told(run(tmp_path / "a.jsonl", "--files-root", str(clips)))["refused"]
    assert "there is no file" in refused["problem"]


def test_all_or_nothing_imports_nothing(fake: FakeLabelStudio, tmp_path: Path, clips: Path) -> None:
    as_jsonl(tmp_path / "pairs.jsonl", ROWS)
    result = run(tmp_path / "pairs.jsonl", "--files-root", str(clips), "--all-or-nothing")
    assert (result.exit_code, told(result)["imported"], len(told(result)["refused"])) == (1, 0, 4)
    assert fake.tasks == {}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"video1": "a.mp4", "video2": "http://h/b.mp4", "prompt": "x"}', "--files-root"),
        (
            '{"video1": "/nowhere/a.mp4", "video2": "file:///nowhere/b%20.mp4", "prompt": "x"}',
            "no file /nowhere/b .mp4",
        ),
        ('{"video1": 7, "video2": "http://h/b.mp4", "prompt": "x"}', "must be text"),
        ('{"video1": "http://h/a.mp4", "video2": "http://h/b.mp4", "prompt": " "}', "'prompt' is empty"),
        ('{"video1": "http://[h/a.mp4", "video2": "http://h/b.mp4", "prompt": "x"}', "http://[h/a.mp4 is not a well-"),
        ('{"video1": "http://ex\u2100mple/", "video2": "http://h/b.mp4", "prompt": "x"}', "not a well-formed address"),
        ('{"video1": "/' + "a" * 5000 + '", "video2": "http://h/b.mp4", "prompt": "x"}', "File name too long"),
    ],
)
@pytest.mark.usefixtures("fake")
def test_a_bad_row_says_what_is_wrong(tmp_path: Path, row: str, problem: str) -> None:
    (tmp_path / "a.jsonl").write_text(row)
    [refused] = told(run(tmp_path / "a.jsonl"))["refused"]
    assert refused["row"] == 1
    assert problem in refused["problem"]


@pytest.mark.usefixtures("fake")
def test_a_row_with_more_cells_than_the_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("video1,video2,prompt\nhttp://h/a,http://h/b,red, panda\n")
    [refused] = told(run(tmp_path / "a.csv"))["refused"]
    assert "more cells" in refused["problem"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"x", "none of"),
        ("a.csv", b"", "no header"),
        ("a.csv", b"video1\n\xff", "UTF-8"),
        ("a.parquet", b"PAR1", "no Parquet file"),
    ],
)
@pytest.mark.usefixtures("fake")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    error = run(tmp_path / name).exception
    assert isinstance(error, SettingsError)
    assert words in str(error)


def test_a_missing_file_is_told_before_anything_is_changed(fake: FakeLabelStudio, tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "gone.csv").exception, SettingsError)
    assert fake.calls == []


def test_an_interrupted_import_goes_on_where_it_stopped(fake: FakeLabelStudio, tmp_path: Path) -> None:
    rows = [{**GOOD[0], "prompt": f"panda {number}"} for number in range(2500)]
    as_csv(tmp_path / "a.csv", rows)

    def down(_method: str, path: str) -> tuple[int, Any] | None:
        return (503, {"detail": "busy"}) if path == "/api/projects/1/import" and len(fake.tasks) == 1000 else None

    fake.fail = down
    assert isinstance(run(tmp_path / "a.csv").exception, LabelStudioUnavailableError)
    assert len(fake.tasks) == 1000
    fake.fail = lambda _method, _path: None
    assert told(run(tmp_path / "a.csv"))["imported"] == 1500
    assert len({task["data"]["prompt"] for task in fake.tasks.values()}) == len(fake.tasks) == 2500


def test_of_many_bad_rows_people_see_the_first() -> None:
    checked = Checked(5, tuple(BadRow(number, "it has no prompt") for number in range(1, 101)), 0)
    lines = list(ImportReport("a.csv", checked, 0, 0).lines())
    assert f"... and {100 - MOST_LINES} further rows; --json lists all" in lines
    assert "none of the 5 good rows was imported, as --all-or-nothing asks" in lines
