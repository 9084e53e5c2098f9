"""What the README says about settings and files is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backend.cli.settings import markdown_table

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)")


def test_the_settings_table_is_the_one_that_the_code_prints() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0].strip()
    assert shown == markdown_table().strip(), "run `make docs` to bring the README's table up to date"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_links_to_exists(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []
