"""`vrthinker init --import`: what was imported and which rows were not, for people and for scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.label_studio.client import LabelStudioClient
    from backend.label_studio.importing import Checked
    from backend.label_studio.records import Project

MOST_LINES = 50


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of a file: its rows as checked, how many were `imported`, how many were in the project `already`."""

    file: str
    checked: Checked
    imported: int
    already: int

    def as_json(self) -> dict[str, Any]:
        """Everything, with every refused row."""
        refused = [asdict(one) for one in self.checked.bad]
        plain = {"file": self.file, "imported": self.imported, "already": self.already}
        return {**plain, "videos_not_looked_at": self.checked.unseen, "refused": refused}

    def lines(self) -> Iterator[str]:
        """Sentences; of many refused rows the first ones."""
        yield f"imported {self.imported} pairs from {self.file}; {self.already} were there already"
        if self.checked.unseen:
            yield f"{self.checked.unseen} videos lie where this command cannot look, so nobody checked that they exist"
        for bad in self.checked.bad[:MOST_LINES]:
            yield f"row {bad.row}: {bad.problem}"
        if len(self.checked.bad) > MOST_LINES:
            yield f"... and {len(self.checked.bad) - MOST_LINES} further rows; --json lists all"
        if self.checked.bad and not self.imported and self.checked.good > self.already:
            yield f"none of the {self.checked.good} good rows was imported, as --all-or-nothing asks"


def imported(
    client: LabelStudioClient, project: Project, path: Path, files_root: Path | None, *, all_or_nothing: bool
) -> ImportReport:
    """Check the file, then import what is good and new; asked again, it goes on where it stopped.

    Raises:
        LabelConfigError: the project's labeling config does not say which columns are meant.
        LabelStudioError: Label Studio refused a batch; the same command goes on after it.
        SettingsError: the file cannot be read.
    """
    from backend.label_studio.importing import PairImport, Places, import_tasks
    from backend.label_studio.layout import parse_layout
    from backend.label_studio.pairs import read_rows

    pairs = PairImport(parse_layout(project.label_config), Places(files_root))
    checked = pairs.check(read_rows(path))
    if all_or_nothing and checked.bad:
        return ImportReport(str(path), checked, 0, 0)
    present = pairs.present(client, project.id) if project.task_number else set()
    new = pairs.new(read_rows(path), (bad.row for bad in checked.bad), present)
    done = sum(import_tasks(client, project.id, new))
    return ImportReport(str(path), checked, done, checked.good - done)
