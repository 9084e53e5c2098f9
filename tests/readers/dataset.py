"""A dataset with one corrected and one accepted answer: `python -m tests.readers.dataset FOLDER`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from backend.export.dataset import ExportOptions, export_dataset
from backend.ledger import Ledger
from tests.unit.export.people import MQ, PROJECT, VIDEO_1, People
from tests.unit.export.videos import Studio
from tests.unit.label_studio.judgements import ASK, DECIDE


def write(out: Path) -> None:
    """Export it anew, with pictures and in every format."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder) / "clips")
        studio.folder.mkdir()
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        people = People(ledger)
        for task, prompt in ((1, "prompt 1: a <video> of an <audio> tape"), (2, "prompt 2")):
            judgement = studio.judged(ASK, DECIDE, prompt=prompt)
            people.task(task, judgement, prompt=prompt, videos=studio.references)
        people.answer(1, {MQ: VIDEO_1})
        people.answer(2)
        export_dataset(ledger, ExportOptions(PROJECT, out, frames=True), studio.videos())
        ledger.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
