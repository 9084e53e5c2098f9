"""Connecting a project: what is made, what is repaired, what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import LabelStudioError
from backend.label_studio.project import ConnectedProject, Target, connect
from backend.label_studio.webhook import HINTS
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio, webhook

if TYPE_CHECKING:
    from backend.label_studio.client import LabelStudioClient
    from tests.unit.label_studio.fake_label_studio import Answer

URL = "http://backend:9090"
HOOK = f"{URL}/webhook"
TARGET = Target(URL, label_config="<View>\n  new\n</View>\n", webhook_secret="hook-secret")
RIGHT = {"send_for_all_actions": False, "actions": list(HINTS), "headers": {"X-Webhook-Secret": "hook-secret"}}


@pytest.fixture
def fake() -> FakeLabelStudio:
    return FakeLabelStudio()


def right_backend(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    backend = {"id": 1, "url": URL, "project": 1, "title": "VR-Thinker", "state": "CO", "auth_method": "NONE"}
    return {**backend, "basic_auth_user": "", **changes}


def changed(fake: FakeLabelStudio) -> list[str]:
    return [call for call in fake.calls if not call.startswith("GET")]


def assert_right(fake: FakeLabelStudio, connected: ConnectedProject) -> None:
    [hook] = fake.webhooks
    assert hook == webhook(hook["id"], HOOK, **RIGHT)
    [backend] = fake.ml_backends
    assert (backend["url"], backend["title"]) == (URL, "VR-Thinker")
    assert connected.webhook.id == hook["id"]
    assert connected.ml_backend.id == backend["id"]
    assert fake.project["show_collab_predictions"] is True
    assert fake.project["evaluate_predictions_automatically"] is False


def test_connects_a_project_and_narrows_the_webhook_that_label_studio_makes(
    client: LabelStudioClient, fake: FakeLabelStudio
) -> None:
    connected = connect(client, TARGET, project=1)
    assert_right(fake, connected)
    assert fake.project["label_config"] == "<View>\n  new\n</View>"
    assert connected.changes == (
        "changed label_config, show_collab_predictions, evaluate_predictions_automatically",
        "added the tab 'Least certain first'",
        f"connected the ML backend {URL}",
        f"changed the webhook to {HOOK}",
    )


def test_changes_nothing_when_called_again(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    connect(client, TARGET, project=1)
    fake.calls.clear()
    assert connect(client, TARGET, project=1).changes == ()
    assert changed(fake) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"send_for_all_actions": True},
        {"actions": ["ANNOTATION_CREATED"]},
        {"actions": [*HINTS, "PROJECT_UPDATED"]},
        {"headers": {}},
        {"headers": {"X-Webhook-Secret": "an older secret"}},
        {"is_active": False},
        {"send_payload": False},
        {"url": f"{HOOK}/"},
    ],
)
def test_repairs_a_webhook(client: LabelStudioClient, fake: FakeLabelStudio, wrong: dict[str, Any]) -> None:
    fake.ml_backends = [right_backend()]
    fake.webhooks = [{**webhook(4, HOOK, **RIGHT), **wrong}]
    connected = connect(client, TARGET, project=1)
    assert_right(fake, connected)
    assert connected.webhook.id == 4


def test_keeps_one_of_several_webhooks_and_those_of_others(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    others = [webhook(1, "http://elsewhere/webhook"), webhook(2, "http://backend:9091/webhook"), webhook(3, URL)]
    fake.ml_backends = [right_backend()]
    fake.webhooks = [webhook(4, HOOK), *others, webhook(5, HOOK, **RIGHT), webhook(6, f"{HOOK}/")]
    connected = connect(client, TARGET, project=1)
    assert fake.webhooks == [*others, webhook(5, HOOK, **RIGHT)]
    assert len(connected.changes) == 1 + 1 + 2


def test_leaves_the_webhooks_of_other_projects_alone(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    other = webhook(1, HOOK, project=2)
    organisation = webhook(2, HOOK, project=None)
    fake.webhooks = [other, organisation]
    connect(client, TARGET, project=1)
    assert fake.webhooks[:2] == [other, organisation]


def test_follows_a_backend_that_moved(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    connect(client, replace(TARGET, backend_url="http://former:9090"), project=1)
    assert_right(fake, connect(client, TARGET, project=1))


def test_keeps_one_of_several_ml_backends_and_those_of_others(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    other = right_backend(id=3, url="http://other:9090", title="Another model")
    fake.ml_backends = [right_backend(id=1, url="http://former:9090"), right_backend(id=2), other]
    connected = connect(client, TARGET, project=1)
    assert fake.ml_backends == [right_backend(id=2), other]
    assert connected.ml_backend.id == 2


BY_HAND = {"title": "my model", "url": "http://web:9090"}


@pytest.mark.parametrize(
    ("backend", "hook"),
    [
        (BY_HAND, RIGHT),
        ({**BY_HAND, "model_version": "tiny-1"}, {}),
        ({"title": "VR-Thinker", "url": "http://web:9090"}, {}),
    ],
)
def test_knows_a_backend_that_was_connected_by_hand_and_keeps_its_address(
    client: LabelStudioClient, fake: FakeLabelStudio, backend: dict[str, Any], hook: dict[str, Any]
) -> None:
    fake.ml_backends = [right_backend(**backend)]
    fake.webhooks = [webhook(1, "http://web:9090/webhook", **hook)]
    target = replace(TARGET, keep_address=True, model_version="tiny-1")
    connect(client, target, project=1)
    assert [each["url"] for each in fake.ml_backends] == ["http://web:9090"]
    assert [each["url"] for each in fake.webhooks] == ["http://web:9090/webhook"]
    fake.calls.clear()
    assert connect(client, target, project=1).changes == ()
    assert changed(fake) == []


def test_keeps_the_address_that_label_studio_reaches(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.ml_backends = [right_backend(id=1, state="DI"), right_backend(id=2, url="http://web:9090")]
    connect(client, replace(TARGET, keep_address=True), project=1)
    assert [each["url"] for each in fake.ml_backends] == ["http://web:9090"]


def test_connects_anew_where_a_webhook_of_ours_was_left(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.webhooks = [webhook(1, "http://web:9090/webhook", **RIGHT)]
    connect(client, replace(TARGET, keep_address=True), project=1)
    assert [each["url"] for each in fake.ml_backends] == ["http://web:9090"]


def test_leaves_a_backend_of_others_alone_whose_address_is_not_ours(
    client: LabelStudioClient, fake: FakeLabelStudio
) -> None:
    other = right_backend(url="http://other:9090", title="Another model", model_version="another-1")
    fake.ml_backends = [other]
    fake.webhooks = [webhook(1, "http://other:9090/webhook")]
    connect(client, replace(TARGET, keep_address=True, model_version="tiny-1"), project=1)
    assert [each["url"] for each in fake.ml_backends] == ["http://other:9090", URL]
    assert fake.ml_backends[0] == other


def test_sets_the_password_anew_each_time_because_it_cannot_be_compared(
    client: LabelStudioClient, fake: FakeLabelStudio
) -> None:
    target = replace(TARGET, basic_auth=("name", "password"))
    connect(client, target, project=1)
    [backend] = fake.ml_backends
    assert backend.pop("basic_auth_pass") == "password"
    assert connect(client, target, project=1).changes == ()
    assert backend.pop("basic_auth_pass") == "password"


def test_takes_the_password_away(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    connect(client, replace(TARGET, basic_auth=("name", "password")), project=1)
    connect(client, TARGET, project=1)
    assert fake.ml_backends[0]["auth_method"] == "NONE"


def test_has_label_studio_try_a_backend_that_it_lost(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.ml_backends = [right_backend(state="DI")]
    connect(client, TARGET, project=1)
    assert "PATCH /api/ml/1" in fake.calls


def test_adds_the_storages_that_are_missing(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    target = replace(TARGET, storage_paths=("/media/videos", "/media/more/"))
    fake.storages = [{"id": 1, "project": 1, "path": "/media/more"}]
    connect(client, target, project=1)
    assert [storage["path"] for storage in fake.storages] == ["/media/more", "/media/videos"]
    fake.calls.clear()
    connect(client, target, project=1)
    assert changed(fake) == []


def test_leaves_the_labeling_config_alone_when_none_is_given(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    connect(client, replace(TARGET, label_config=None), project=1)
    assert fake.project["label_config"] == "<View/>"


def test_makes_the_project_where_no_title_matches(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    made: list[str] = []

    def projects(method: str, path: str) -> Answer | None:
        if (method, path) == ("GET", "/api/projects/"):
            return 200, {"results": [{"id": 7, "title": "Pairs, old"}], "next": None}
        if (method, path) == ("POST", "/api/projects/"):
            made.append(path)
            fake.project |= {"title": "Pairs", "label_config": "<View>\n  new\n</View>"}
            fake.project |= {"show_collab_predictions": True, "evaluate_predictions_automatically": False}
            return 201, {"id": 1}
        return None

    fake.fail = projects
    connected = connect(client, TARGET, title="Pairs")
    assert made == ["/api/projects/"]
    assert connected.changes[0] == "created project 'Pairs'"


def test_repairs_the_one_project_of_that_title(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    listed = {"results": [{"id": 7, "title": "Pairs, old"}, {"id": 1, "title": "Pairs"}], "next": None}
    fake.fail = lambda method, path: (200, listed) if path == "/api/projects/" else None
    assert connect(client, TARGET, title="Pairs").project.id == 1
    assert "POST /api/projects/" not in fake.calls


def test_asks_which_of_several_projects_is_meant(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    listed = {"results": [{"id": 7, "title": "Pairs"}, {"id": 1, "title": "Pairs"}], "next": None}
    fake.fail = lambda method, path: (200, listed) if path == "/api/projects/" else None
    with pytest.raises(LabelStudioError, match="Projects 1, 7"):
        connect(client, TARGET, title="Pairs")
    assert changed(fake) == []


def test_leaves_the_webhook_alone_when_the_backend_is_refused(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.ml_backends, fake.webhooks = (
        [right_backend(url="http://former:9090")],
        [webhook(1, "http://former:9090/webhook")],
    )
    refused = {"detail": "Validation error", "validation_errors": {"non_field_errors": ["Can't connect to ML backend"]}}
    fake.fail = lambda method, path: (400, refused) if method == "PATCH" and "/api/ml/" in path else None
    with pytest.raises(LabelStudioError, match="Can't connect to ML backend"):
        connect(client, TARGET, project=1)
    assert fake.webhooks == [webhook(1, "http://former:9090/webhook")]


def test_keeps_its_secrets_out_of_what_is_shown(client: LabelStudioClient) -> None:
    target = replace(TARGET, basic_auth=("name", "password"))
    connected = connect(client, target, project=1)
    assert "hook-secret" not in f"{connected} {target}"
    assert "password" not in f"{connected} {target}"


def test_adds_a_tab_that_sorts_by_score_and_leaves_the_tabs_of_people(
    client: LabelStudioClient, fake: FakeLabelStudio
) -> None:
    connect(client, TARGET, project=1)
    default, ours = (view["data"] for view in fake.views)
    assert (default["title"], ours["title"]) == ("Default", "Least certain first")
    assert ours["ordering"] == ["tasks:predictions_score"]
    fake.views = [{"id": 4, "project": 1, "data": {"title": "Mine"}}]
    connect(client, TARGET, project=1)
    assert [view["data"]["title"] for view in fake.views] == ["Mine", "Least certain first"]
