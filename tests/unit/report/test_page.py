"""The page, the figures' file and the tables: everything is said, nothing from outside is markup."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from backend.report.gather import Wanted
from backend.report.page import page_of
from backend.report.table import csv_of
from backend.wire import to_json
from tests.unit.report.project import ONE, START, TWO, SmallProject

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} \u202eevil\u202c 🎬 קוף שותה תה"


def filled(project: SmallProject) -> None:
    """Two versions, three people, all of it hostile where it comes from outside."""
    for task in range(1, 5):
        video = "/data/upload/<b>7</b>/{}.mp4"
        prediction = project.judged(task, "1120", confidence=0.7, prompt=HOSTILE, video=video, order_dependent=task > 2)
        project.judged(task, "1121", TWO, prompt=HOSTILE, video=video)
        project.answered(task, "1201", prediction, person=task % 3, days=task)
        project.answered(task, "12?1", person=5)


class Elements(HTMLParser):
    """Every element of a page with its attributes, as a browser would read them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, *names: str) -> set[str]:
        """The values of these attributes that point out of the page."""
        pointing = {value for _, attrs in self.found for name, value in attrs.items() if name in names and value}
        return {value for value in pointing if not value.startswith(("#", "data:image/"))}


def test_the_page_needs_nothing_from_elsewhere(project: SmallProject) -> None:
    filled(project)
    page = page_of(project.report(), "http://studio.example.com")
    elements = Elements(page)
    assert not {tag for tag, _ in elements.found} & {"script", "link", "iframe", "object", "embed", "base", "img"}
    assert not elements.values("src", "srcset", "poster", "data", "xlink:href")
    assert not [name for _, attrs in elements.found for name in attrs if name.startswith("on")]
    assert "@import" not in page
    links = {f"http://studio.example.com/projects/7/data?task={task}" for task in (1, 2)}
    assert elements.values("href") == links


def test_what_comes_from_outside_is_text(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, title=HOSTILE)
    filled(project)
    page = page_of(project.report())
    project.ledger.close()
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>7" not in page
    assert "{{ 7 * 7 }}" in page
    assert "🎬 קוף שותה תה" in page


def test_ids_are_unique(project: SmallProject) -> None:
    filled(project)
    ids = re.findall(r'\bid="([^"]+)"', page_of(project.report()))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "says",
    [
        "No answer of a person to count yet",
        "No task of this project has been judged yet",
        "Nobody has answered yet",
        "there is nothing to compare",
    ],
)
def test_an_empty_project_is_a_page_of_sentences(project: SmallProject, says: str) -> None:
    assert says in page_of(project.report())


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([], "Nobody has answered a task that this version has judged"),
        ([("1111", 0)], "gave no confidences"),
        ([("1111", 0)], "TA unlinked, MQ unlinked, VQ unlinked, OA unlinked: The engine gave no odds"),
        ([("1111", 0)], "one and the same label"),
        ([("1111", 0)], "SWAP_CHECK is off"),
        ([("1111", 0)], "No task has answers of two people"),
        ([("1111", 0)], "All answers are from one day"),
        ([("1111", 0)], "differ on no label"),
        ([("1111", 0)], "by 1 person."),
        ([("1111", 99)], "a clock is wrong"),
        ([("1111", 0), ("?---", 0)], "1 without a single label"),
    ],
)
def test_a_figure_that_cannot_be_had_is_a_sentence(
    project: SmallProject, answers: list[tuple[str, float]], says: str
) -> None:
    for task in (1, 2):
        project.judged(task, "1111")
    for task, (labels, day) in enumerate(answers, 1):
        project.answered(task, labels, days=day)
    assert says in page_of(project.report())


def test_a_report_without_new_answers_says_since_when(project: SmallProject) -> None:
    project.answered(1, "1111", days=-9)
    page = page_of(project.report(Wanted(since=START)))
    assert "answers changed since 2026-05-04 12:00 UTC" in page
    assert "1 last changed before the report begins" in page


def test_the_figures_file_holds_every_figure(project: SmallProject) -> None:
    filled(project)
    told = json.loads(json.dumps(to_json(project.report()), allow_nan=False))
    first = told["versions"][0]
    assert first["model_version"] == ONE
    assert first["groups"][0]["dimensions"]["TA"]["with_ties"] == {
        "count": 4,
        "of": 4,
        "value": 1.0,
        "low": pytest.approx(0.510, abs=0.001),
        "high": 1.0,
    }
    assert told["counts"]["answers"] == 8
    assert told["contests"][0]["dimensions"]["OA"]["second_only"] == 4


def test_the_table_has_a_row_for_each_figure_and_no_formulas(project: SmallProject) -> None:
    filled(project)
    report = project.report()
    cursed = replace(report.versions[0].annotators.rows[0], name="=cmd|'/c calc'!A1")
    version = replace(report.versions[0], annotators=replace(report.versions[0].annotators, rows=[cursed]))
    rows = list(csv.DictReader(StringIO(csv_of(replace(report, versions=[version])))))
    [kappa] = [
        r for r in rows if r["measure"] == "Cohen's kappa" and r["dimension"] == "MQ" and r["exposure"] == "shown"
    ]
    assert (kappa["section"], kappa["model_version"], kappa["value"]) == ("agreement", ONE, "0.0")
    assert {row["section"] for row in rows} == {
        "agreement", "annotator", "calibration", "confusion", "counts", "model", "people", "source", "time", "versions"
    }  # fmt: skip
    assert {row["name"] for row in rows if row["section"] == "annotator"} == {"'=cmd|'/c calc'!A1"}
