"""ms-swift's own loader takes our rows: `python ms_swift.py DATASET`, where ms-swift is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROLES = ["system", "user", "assistant", "user", "assistant"]


def read(folder: Path) -> None:
    """Both files, strictly: a row that it cannot use is an error."""
    from swift.dataset import load_dataset

    os.chdir(folder)  # the pictures' names lead from here
    for name, expected in (("train.jsonl", 2), ("train_pairs.jsonl", 1)):
        rows, _ = load_dataset(f"ms-swift/{name}", strict=True)
        assert len(rows) == expected, f"{name}: {len(rows)} rows"
        for row in rows:
            assert [message["role"] for message in row["messages"]] == ROLES, row["messages"]
            pictures = [image["path"] if isinstance(image, dict) else image for image in row["images"]]
            assert all(Path(picture).is_file() for picture in pictures), pictures
            asked = sum(message["content"].count("<image>") for message in row["messages"])
            assert asked == len(pictures), f"{asked} marks, {len(pictures)} pictures"
        print(f"ms-swift reads {expected} rows of {name}")


if __name__ == "__main__":
    read(Path(sys.argv[1]))
