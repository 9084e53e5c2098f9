"""`vrthinker infer`: the card's JSON object on stdout and nothing else, whatever happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from backend.cli import main
from backend.engines import choice
from tests.e2e.numbered import Numbered
from tests.fakes import ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend.reasoning.judge import Engine
    from backend.settings import Settings
    from backend.types import Completion, Conversation

LOOK = '<tool_call>{"name": "select_frames", "arguments": {"frame_indices": [3, 9]}}</tool_call>'
ANSWER = "<Think>Video 2 is smoother.</Think><Answer>TA=1, VQ=0, MQ=2, OA=2</Answer>"
SWAPPED = "<Answer>TA=2, VQ=0, MQ=1, OA=2</Answer>"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("a", "b"):
        Numbered(name, 12, 24.0).make(folder)
    return folder / "a.mp4", folder / "b.mp4"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Engine], None]:
    """Say which engine the command gets."""
    monkeypatch.chdir("/")  # no .env of this folder

    def use(given: Engine) -> None:
        def engine_of(_settings: Settings) -> Engine:
            return given

        monkeypatch.setattr(choice, "engine_of", engine_of)

    return use


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of `vrthinker infer` with these arguments."""
    monkeypatch.setattr("sys.argv", ["vrthinker", "infer", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def pair(videos: tuple[Path, Path]) -> list[object]:
    return ["--video1", videos[0], "--video2", videos[1], "--prompt", "Bars that count."]


def test_stdout_is_the_answer_and_stderr_tells_the_turns(
    engine: Callable[[Engine], None],
    videos: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine(ScriptedEngine([LOOK, ANSWER]))

    assert run(monkeypatch, *pair(videos)) == 0

    told = capsys.readouterr()
    assert told.out == '{"TA": 1, "MQ": 2, "VQ": 0, "OA": 2}\n'
    assert "Turn 1: asks for frames 3, 9" in told.err
    assert "Turn 2: answers" in told.err
    assert "small bundled checkpoint" in told.err


def test_another_checkpoint_gets_no_note(
    engine: Callable[[Engine], None],
    videos: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine(ScriptedEngine([ANSWER]))
    assert run(monkeypatch, *pair(videos), "--model", "someone/else") == 0
    assert "bundled" not in capsys.readouterr().err


def test_without_an_answer_all_four_are_null(
    engine: Callable[[Engine], None],
    videos: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine(ScriptedEngine(["Hm."] * 6))

    assert run(monkeypatch, *pair(videos), "--no-force-answer") == 3

    told = capsys.readouterr()
    assert json.loads(told.out) == {"TA": None, "MQ": None, "VQ": None, "OA": None}
    assert "Turn 6: unusable reply" in told.err
    assert "No answer: the conversation ended with malformed after 6 turns." in told.err


class ChattyEngine:
    """A double that prints, as libraries do."""

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        print("Loading shards: 100%")
        return ScriptedEngine([ANSWER]).complete(conversation, max_new_tokens=max_new_tokens)


def test_what_a_library_prints_stays_off_stdout(
    engine: Callable[[Engine], None],
    videos: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine(ChattyEngine())
    assert run(monkeypatch, *pair(videos)) == 0
    told = capsys.readouterr()
    assert told.out.count("\n") == 1
    assert "Loading shards" in told.err


def test_the_trace_holds_replies_frames_and_timings(
    engine: Callable[[Engine], None], videos: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine(ScriptedEngine([LOOK, ANSWER]))

    assert run(monkeypatch, *pair(videos), "--trace", tmp_path / "trace.json") == 0

    trace: dict[str, Any] = json.loads((tmp_path / "trace.json").read_text())
    assert trace["answer"] == {"TA": 1, "MQ": 2, "VQ": 0, "OA": 2}
    assert trace["prompt"] == "Bars that count."
    assert [turn["reply"] for turn in trace["turns"]] == [LOOK, ANSWER]
    assert [turn["served"] for turn in trace["turns"]] == [[3, 9], []]
    (conversation,) = trace["conversations"]
    assert [message["role"] for message in conversation] == ["system", "user", "assistant", "user", "assistant"]
    shown = [part["frame"] for part in conversation[3]["content"] if "frame" in part]
    assert [(frame["video"], frame["slot"], frame["index"]) for frame in shown] == [
        (1, 3, 0),
        (2, 3, 0),
        (1, 9, 0),
        (2, 9, 0),
    ]
    assert {"load", "judge"} <= trace["seconds"].keys()
    assert all(seconds >= 0 for seconds in trace["seconds"].values())
    assert all("seconds" in turn for turn in trace["turns"])


def test_exchanging_the_videos_tells_both_conversations(
    engine: Callable[[Engine], None],
    videos: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    engine(ScriptedEngine([ANSWER, SWAPPED]))

    assert run(monkeypatch, *pair(videos), "--swap", "all", "--trace", tmp_path / "trace.json") == 0

    told = capsys.readouterr()
    assert "Turn 1 (videos exchanged): answers" in told.err
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert len(trace["conversations"]) == 2
    assert trace["verdicts"]["OA"]["order_dependent"] is True
    assert trace["verdicts"]["TA"]["order_dependent"] is False


def test_a_file_that_is_not_there_is_a_media_error(
    videos: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gone = tmp_path / "gone.mp4"
    assert run(monkeypatch, "--video1", gone, "--video2", videos[1], "--prompt", "Bars.") == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("vrthinker: ")
    assert "gone.mp4" in told.err


def test_a_text_file_is_a_media_error(
    videos: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert run(monkeypatch, "--video1", videos[0], "--video2", text, "--prompt", "Bars.") == 4
    assert "Video 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--model", "/nowhere/at/all"], 5, "There is no checkpoint folder /nowhere/at/all"),
        (["--contract", "vrthinker-64"], 2, "vrthinker-64"),
        (["--quantization", "3bit"], 2, "--quantization"),
        (["--swap", "foo"], 2, "--swap"),
        (["--prompt", " "], 2, "--prompt is empty"),
        (["--trace", "/nowhere/trace.json"], 2, "there is no folder /nowhere"),
        (["--speed", "fast"], 2, "--speed"),
    ],
)
def test_what_is_wrong_is_told_in_words_and_by_the_exit_code(
    videos: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    says: str,
) -> None:
    assert run(monkeypatch, *pair(videos), *options) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
    assert "Traceback" not in told.err


def test_the_help_shows_examples_and_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    told = capsys.readouterr().out
    assert "vrthinker infer --video1 a.mp4" in told
    assert "Exit codes: 0 answered" in told
