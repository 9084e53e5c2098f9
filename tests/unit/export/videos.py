"""Real clips, judged by the real loop over what is really decoded from them; only the replies are scripted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.export.dataset import Videos
from backend.export.pictures import open_pairs
from backend.frames import VideoPair
from backend.label_studio.media import MediaFetcher
from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.judge import judge
from backend.types import Completion
from tests.clips import Clips
from tests.fakes import ScriptedEngine
from tests.unit.label_studio.judgements import ASK, DECIDE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from backend.types import Judgement


def nothing(_url: str) -> Mapping[str, str]:
    """No token."""
    return {}


@dataclass(frozen=True, slots=True)
class Studio:
    """Two clips in a folder, and the fetcher that may read it."""

    folder: Path

    @property
    def paths(self) -> tuple[Path, Path]:
        """Video 1 and Video 2."""
        clips = Clips(self.folder)
        return clips.clip("h264"), clips.clip("vp9")

    @property
    def references(self) -> tuple[str, str]:
        """As a task names them."""
        one, two = self.paths
        return str(one), str(two)

    def judged(self, *replies: str, prompt: str) -> Judgement:
        """What comes of these replies about the two clips."""
        engine = ScriptedEngine([Completion(reply, 1, 1) for reply in replies or (ASK, DECIDE)])
        with VideoPair.open(*self.paths, VRTHINKER_128) as pair:
            return judge(engine, pair, VRTHINKER_128, prompt, model_version="judged")

    def videos(self) -> Videos:
        """What an export reads them with."""
        fetcher = MediaFetcher(
            label_studio_url="http://127.0.0.1:1",
            authorization=nothing,
            cache_dir=self.folder / "cache",
            max_bytes=100_000_000,
            timeout_s=60,
            cache_bytes=100_000_000,
            roots=(self.folder,),
        )
        return Videos(fetcher, open_pairs())
