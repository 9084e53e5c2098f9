"""Where a pair's videos come from: the folder, bucket or host that their references name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from backend.label_studio.importing import LOCAL_FILES
from backend.label_studio.media.hosts import shown

if TYPE_CHECKING:
    from backend.types import PairwiseTask

LOCAL = f"{LOCAL_FILES}?d="  # Label Studio's address of every local file, which tells nothing


def source_of(task: PairwiseTask) -> str:
    """One folder, or both where the two videos lie in different ones; credentials and signatures are left out."""
    places = sorted({_folder(task.video1), _folder(task.video2)})
    return " and ".join(places)


def _folder(reference: str) -> str:
    place = unquote(shown(reference)).replace("\0", "").removeprefix(LOCAL)
    return place.rpartition("/")[0] or "no folder"
