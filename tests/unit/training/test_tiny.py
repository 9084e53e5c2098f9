"""The small checkpoint's lessons keep to the contract, and its tokenizer and rows are what the model will meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from backend.engines.local.prompt import frames_of
from backend.reasoning.rationale import rationale_for
from backend.reasoning.reply import parse_reply
from backend.training.tiny.blueprint import Untrained, untrained
from backend.training.tiny.card import model_card
from backend.training.tiny.lesson import (
    CONTRACT,
    REQUESTS,
    SECOND_REQUESTS,
    Pair,
    conclusions,
    converse,
    draw_pair,
    replies,
)
from backend.training.tiny.make import make_checkpoint
from backend.training.tiny.measure import Measured
from backend.training.tiny.scene import COLORS, LOOKS, MOTIONS, Scene, picture
from backend.training.tiny.tokenizer import CONTROL, MARKUP
from backend.training.tiny.training import BATCH, IGNORED, Lessons
from backend.types import Answer, Dimension, Preference, SelectFrames

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

PAIRS = [draw_pair(np.random.default_rng(seed)) for seed in range(60)]


@pytest.fixture(scope="module")
def parts() -> Untrained:
    return untrained(0)


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_every_lesson_is_one_or_two_requests_and_a_whole_answer(pair: Pair) -> None:
    said = [parse_reply(text, CONTRACT) for text in replies(pair)]
    *requests, answer = said
    assert len(requests) in {1, 2}
    assert all(isinstance(request, SelectFrames) and not request.note for request in requests)
    assert isinstance(answer, Answer)
    assert answer.labels == {d: label for d, (label, _) in conclusions(pair).items()}


def test_every_dimension_gets_its_reasons() -> None:
    said = replies(PAIRS[0])
    for dimension, (_, words) in conclusions(PAIRS[0]).items():
        assert words in rationale_for(dimension, said)


def test_requests_ask_for_one_to_four_moments() -> None:
    assert {len(request) for request in (*REQUESTS, *SECOND_REQUESTS.values())} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("red", "clear", "steady"), ("blue", "noisy", "torn"), (1, 1, 1, 1)),
        (("blue", "dark", "steady"), ("red", "clear", "torn"), (2, 1, 2, 2)),
        (("red", "noisy", "torn"), ("red", "blurry", "torn"), (0, 0, 0, 0)),
        (("green", "clear", "torn"), ("blue", "dark", "steady"), (0, 2, 1, 0)),
    ],
)
def test_labels_follow_from_what_the_scenes_are(
    first: tuple[str, str, str], second: tuple[str, str, str], expected: tuple[int, int, int, int]
) -> None:
    pair = Pair(Scene(*first, "ball", 1), Scene(*second, "ball", 2), "a red wall", "red")
    labels = {dimension: label for dimension, (label, _) in conclusions(pair).items()}
    assert labels == dict(zip(Dimension, map(Preference, expected), strict=True))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("motion", MOTIONS)
def test_a_part_of_a_picture_has_the_pixels_of_the_whole(look: str, motion: str) -> None:
    scene = Scene(next(iter(COLORS)), look, motion, "box", 5)
    whole = np.asarray(picture(scene, 0.5).crop((112, 224, 224, 336)), int)
    part = np.asarray(picture(scene, 0.5, part=(112, 224, 112)), int)
    # The edges are resampled without their neighbours.
    assert np.abs(whole - part)[8:-8, 8:-8].max() <= 2


def test_the_same_scene_is_drawn_the_same_way_again() -> None:
    scene = Scene("red", "noisy", "torn", "ball", 3)
    assert picture(scene, 0.25) == picture(scene, 0.25)
    assert picture(scene, 0.25) != picture(scene, 0.75)


@pytest.mark.parametrize(
    "text", ["", "A cat.", "日落时的海边 🎬", "\x00\ufffd\n\n  tabs\tand spaces ", CONTRACT.system]
)
def test_the_tokenizer_gives_any_text_back(text: str, parts: Untrained) -> None:
    assert parts.tokenizer.decode(parts.tokenizer(text)["input_ids"]) == text


def test_control_and_markup_tokens_are_one_token_each(parts: Untrained) -> None:
    for token in (*CONTROL, *MARKUP):
        (number,) = parts.tokenizer(token)["input_ids"]
        assert parts.tokenizer.decode([number], skip_special_tokens=True) == ("" if token in CONTROL else token)


def test_digits_are_tokens_of_their_own(parts: Untrained) -> None:
    assert parts.tokenizer.tokenize("TA=12")[-2:] == ["1", "2"]


def test_the_chat_template_writes_qwen_s_markup(parts: Untrained) -> None:
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "S"}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " u\n"}]},
        {"role": "assistant", "content": "a"},
    ]
    assert parts.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nS<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|> u\n<|im_end|>\n"
        "<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_without_a_system_message_qwen_s_own_is_used(parts: Untrained) -> None:
    text = parts.tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi")


def test_rows_teach_the_assistant_s_words_and_nothing_else(parts: Untrained) -> None:
    for number, row in enumerate(Lessons(parts, seed=0, steps=8)):
        learnt = row["labels"][row["labels"] != IGNORED]
        said = parts.tokenizer.decode(learnt)
        assert said.endswith("<|im_end|>")
        assert "<|im_start|>" not in said
        assert row["position_ids"].shape[-1] == row["input_ids"].shape[-1]
        if number == 8 * BATCH:  # one of the whole pictures
            break


def test_the_frames_of_a_lesson_stand_in_the_contract_s_order() -> None:
    drawn: list[Scene] = []

    def look(scene: Scene, _moment: float) -> Image:
        drawn.append(scene)
        return picture(scene, 0.0, part=(0, 0, 112))

    pair = PAIRS[0]
    conversation = converse(pair, look, turns=1)
    assert drawn == [pair.first] * 4 + [pair.second] * 4
    assert len(frames_of(conversation)) == 8


def test_the_card_says_what_was_measured() -> None:
    right = dict(zip(Dimension, (5, 4, 9, 7), strict=True))
    constant = dict.fromkeys(Dimension, 3)
    measured = Measured(10, 9, right, constant, turns=2.25, requests=4, seconds=1.0)
    card = model_card(measured, contract="c", seed=1, steps=2, parameters=1234567, tokens=99)
    for words in ("9 of 10", "| VQ | 90% | 30% |", "1,234,567 parameters", "--seed 1 --steps 2", "Do not use them"):
        assert words in card


def test_the_command_makes_a_folder_that_says_what_it_is(tmp_path: Path) -> None:
    assert make_checkpoint(tmp_path / "made", seed=0, steps=1, pairs=0) is None
    assert "Nothing." in (tmp_path / "made" / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"} <= names
