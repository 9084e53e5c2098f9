"""A project in a real Label Studio for the screen's tests: its tasks, what the model thinks, what people left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from backend.demo.clips import FPS, PAIRS, make_pair, paths
from backend.label_studio.convert import labels_of, parse_task, to_prediction, validate_prediction
from backend.label_studio.layout import parse_layout
from backend.types import Dimension, Preference
from tests.e2e.numbered import Numbered
from tests.unit.label_studio.judgements import ODDS, judged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.types import Judgement
    from tests.e2e.conftest import LabelStudioHandle

FILM = next(pair for pair in PAIRS if pair.name == "plane")
SHOWN = {"Text alignment": "Video 2", "Visual quality": "Tie", "Motion quality": "Video 2", "Overall": "Video 2"}
PREFERRED = {
    Dimension.TA: Preference.VIDEO_2,
    Dimension.MQ: Preference.VIDEO_2,
    Dimension.VQ: Preference.TIE,
    Dimension.OA: Preference.VIDEO_2,
}
"""What the judgement of `Desk.predicted` prefers, and how the screen shows it."""


def clips(name: str, one: Numbered | None = None, two: Numbered | None = None) -> tuple[Numbered, Numbered]:
    """A pair of clips under one name."""
    plain = Numbered("", 96, 24.0)
    return replace(one or plain, name=f"{name}-1"), replace(two or plain, name=f"{name}-2")


@dataclass
class Desk:
    """A project in a real Label Studio, its tasks and what the model thinks of them."""

    label_studio: LabelStudioHandle
    config: str
    project: int = 0
    predictions: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the project, and let it serve the clips' folder."""
        folder = self.label_studio.files_root / "clips"
        folder.mkdir(exist_ok=True, parents=True)
        body = {"title": "Screen", "label_config": self.config, "show_collab_predictions": True}
        self.project = self._post("/api/projects/", body)["id"]
        self._post("/api/storages/localfiles/", {"project": self.project, "path": str(folder), "use_blob_urls": True})

    def _post(self, path: str, body: object) -> dict[str, Any]:
        answer = self.label_studio.client.post(path, json=body)
        assert answer.is_success, answer.text
        return cast("dict[str, Any]", answer.json())

    def task(
        self, pair: tuple[Numbered, Numbered], prompt: str = "A plane loops.", rates: Mapping[str, float] | None = None
    ) -> int:
        """Import one pair of numbered clips; `rates` are the task's fps1 and fps2."""
        for clip in pair:
            clip.make(self.label_studio.files_root / "clips")
        return self._import((pair[0].name, pair[1].name), prompt, rates or {})

    def film(self) -> int:
        """Import the demo's paper plane, whose first take stands still in the middle: for what people look at."""
        folder = self.label_studio.files_root / "clips"
        one, two = paths(FILM, folder)
        if not two.is_file():
            make_pair(FILM, folder)
        return self._import((one.stem, two.stem), FILM.prompt, {"fps1": FPS, "fps2": FPS})

    def _import(self, names: tuple[str, str], prompt: str, rates: Mapping[str, float]) -> int:
        data: dict[str, object] = {"prompt": prompt, **rates}
        for number, name in enumerate(names, start=1):
            data[f"video{number}"] = f"/data/local-files/?d=clips/{name}.mp4"
        answer = self._post(f"/api/projects/{self.project}/import?return_task_ids=true", [{"data": data}])
        (task,) = answer["task_ids"]
        return int(task)

    def predict(self, task: int, judgement: Judgement) -> dict[str, Any]:
        """Store what the model thinks, by our own conversion, and show it in the label stream too."""
        layout = parse_layout(self.config)
        raw = self.label_studio.client.get(f"/api/tasks/{task}/").json()
        prediction = to_prediction(layout, judgement, parse_task(layout, self.project, raw))
        assert validate_prediction(self.config, prediction) == []
        self.predictions[task] = self._post("/api/predictions/", prediction)["id"]
        answer = self.label_studio.client.patch(
            f"/api/projects/{self.project}/", json={"model_version": judgement.model_version}
        )
        assert answer.is_success, answer.text
        return prediction

    def predicted(self) -> int:
        """The film with what a model could think of it."""
        task = self.film()
        self.predict(task, judged(odds=ODDS))
        return task

    def annotations(self, task: int) -> list[dict[str, Any]]:
        """What people left."""
        return cast("list[dict[str, Any]]", self.label_studio.client.get(f"/api/tasks/{task}/annotations/").json())

    def labels(self, annotation: Mapping[str, Any]) -> dict[Dimension, Preference]:
        """The choices in an annotation."""
        return dict(labels_of(parse_layout(self.config), annotation["result"]))
