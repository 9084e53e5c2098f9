"""Wording, grid and limits of both contracts, against digests of the published text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import SettingsError
from backend.reasoning.contract import CONTRACTS, VR_THINKER_96, VRTHINKER_128, Contract, contract_named, grid_index
from backend.types import FrameRef


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "characters", "digest"),
    [
        (VRTHINKER_128.system, 1751, "3a431955a257578c8b87e5641b21894fdbb8b24fb8cc219fb099da34a93a19f0"),
        (VRTHINKER_128.question, 392, "be902a37a882463905e72eae96027ed7bda53f221688041b70b25e1b7bcf94d7"),
        (
            VRTHINKER_128.tool_response.replace("{count}", "{n}"),
            100,
            "8dcba78ad76d2a1fd08dc7fe8c64d8fd5e52e252312cef47538db30e1d7bec16",
        ),
    ],
    ids=["system", "question", "tool response"],
)
def test_the_wording_is_the_card_s_to_the_character(text: str, characters: int, digest: str) -> None:
    assert len(text) == characters
    assert sha256(text) == digest


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (VR_THINKER_96.system, "c7fe93c83920a7636642f69f2d8c184defcabc29f724b29cb24098d677d46fc8"),
        (VR_THINKER_96.question, "c2b3ff090a31b3db1474df0f28a7c3fe6a8687fed967b55b28783f950a757233"),
        (VR_THINKER_96.tool_response, "b5ebdb03617746656ceec9355b3eb3b12e310985f472b98e267e6c1d2c8c0241"),
    ],
    ids=["system", "question", "tool response"],
)
def test_the_older_wording_does_not_change_unnoticed(text: str, digest: str) -> None:
    assert sha256(text) == digest


def test_the_system_prompt_reads_as_the_card_prints_it() -> None:
    lines = VRTHINKER_128.system.split("\n")
    assert len(lines) == 25
    assert lines[0] == "Task Description:"
    assert lines[3] == "- Video 1: First four input frames."
    assert lines[16] == "1. <Snapshot></Snapshot> — summarize useful visual details after receiving frames."
    assert lines[21] == "<Answer>TA=1, VQ=1, MQ=0, OA=1</Answer>"
    assert lines[24] == (
        '<tool_call>{"name": "select_frames", "arguments": {"frame_indices": [10, 30, 60, 90]}}</tool_call>'
    )


def test_the_question_is_three_paragraphs_and_ends_without_a_newline() -> None:
    question = VRTHINKER_128.question.format(prompt="A robot rides a unicorn.")
    first, second, third = question.split("\n\n")
    assert first.endswith("Visual Quality (VQ), and Overall Assessment (OA).")
    assert second == "Prompt: A robot rides a unicorn."
    assert third.endswith("Use the select_frames tool to request additional frames if needed.")


def test_the_tool_response_prints_the_indices_as_a_python_list() -> None:
    text = VRTHINKER_128.tool_response.format(count=3, indices=[10, 30, 60])
    assert text == (
        "<tool_response>Retrieved 3 frame pairs ([10, 30, 60]) symmetrically from both videos.</tool_response>"
    )


def test_the_numbers_are_the_card_s() -> None:
    contract = VRTHINKER_128
    assert (contract.slots, contract.initial_per_video, contract.max_turns) == (128, 4, 6)
    assert (contract.max_indices, contract.max_new_tokens, contract.image_size) == (12, 2048, (448, 448))
    assert (contract.first_index, contract.last_index, contract.argument) == (0, 127, "frame_indices")
    assert contract.memory_window is None


def test_the_initial_frames_are_four_of_video_1_then_four_of_video_2() -> None:
    assert VRTHINKER_128.initial_slots() == (16, 48, 80, 112)
    assert VRTHINKER_128.initial_frames() == (
        *(FrameRef(1, 16), FrameRef(1, 48), FrameRef(1, 80), FrameRef(1, 112)),
        *(FrameRef(2, 16), FrameRef(2, 48), FrameRef(2, 80), FrameRef(2, 112)),
    )


def test_an_index_is_that_slot_of_both_videos() -> None:
    assert VRTHINKER_128.frames_for((127, 0)) == (FrameRef(1, 127), FrameRef(2, 127), FrameRef(1, 0), FrameRef(2, 0))


def test_the_older_contract_numbers_video_1_from_1_to_48_and_video_2_from_49_to_96() -> None:
    contract = VR_THINKER_96
    assert (contract.first_index, contract.last_index, contract.max_indices) == (1, 96, 8)
    assert contract.argument == "target_frames"
    assert contract.frames_for((1, 48, 49, 96)) == (FrameRef(1, 0), FrameRef(1, 47), FrameRef(2, 0), FrameRef(2, 47))


def test_the_older_contract_starts_with_every_twelfth_of_its_96_frames() -> None:
    shown = [
        ref.slot + (VR_THINKER_96.slots if ref.video == 2 else 0) + VR_THINKER_96.first_index
        for ref in VR_THINKER_96.initial_frames()
    ]
    assert shown == [1, 13, 25, 37, 49, 61, 73, 85]


@pytest.mark.parametrize(
    ("slot", "total", "index"),
    [(0, 240, 0), (16, 240, 30), (127, 240, 238), (127, 128, 127), (5, 128, 5), (1, 35, 0), (127, 35, 34), (127, 1, 0)],
)
def test_a_slot_is_a_frame_of_the_file(slot: int, total: int, index: int) -> None:
    assert grid_index(slot, total, 128) == index


@pytest.mark.parametrize("total", [1, 2, 35, 88, 128, 1_000_003])
def test_the_grid_runs_through_the_file_and_never_past_its_end(total: int) -> None:
    indices = [grid_index(slot, total, 128) for slot in range(128)]
    assert indices == sorted(indices)
    assert indices[0] == 0
    assert indices[-1] < total


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_a_contract_is_found_by_its_name(contract: Contract) -> None:
    assert contract_named(contract.name) is contract


def test_an_unknown_contract_is_refused_with_the_known_names() -> None:
    with pytest.raises(SettingsError, match=r"CONTRACT is 'gpt'.*vr-thinker-96, vrthinker-128"):
        contract_named("gpt")


@pytest.mark.parametrize("name", [field.name for field in fields(Contract)])
def test_a_change_of_any_field_changes_the_digest(name: str) -> None:
    other: dict[str, Any] = {name: "something else"}
    changed = replace(VRTHINKER_128, **other)
    assert changed.digest != VRTHINKER_128.digest


def test_digests_are_short_and_stable() -> None:
    assert replace(VRTHINKER_128).digest == VRTHINKER_128.digest
    assert len(VRTHINKER_128.digest) == 8
    assert VRTHINKER_128.digest != VR_THINKER_96.digest


def test_every_test_that_the_contract_s_page_names_exists() -> None:
    root = Path(__file__).parents[3]
    named = re.findall(r"`(test_\w+)`", Path(root, "docs/contract.md").read_text(encoding="utf-8"))
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(root, "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []
