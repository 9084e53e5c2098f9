"""The Label Studio that every other end-to-end test relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import LabelStudioHandle

pytestmark = pytest.mark.e2e


def test_both_tokens_of_its_user_work(label_studio: LabelStudioHandle) -> None:
    assert label_studio.client.get("/api/version").json()["release"] == "1.23.2"
    assert label_studio.client.get("/api/projects").status_code == httpx.codes.OK

    access = httpx.post(
        f"{label_studio.url}/api/token/refresh/", json={"refresh": label_studio.personal_access_token}
    ).json()["access"]
    projects = httpx.get(f"{label_studio.url}/api/projects", headers={"Authorization": f"Bearer {access}"})
    assert projects.status_code == httpx.codes.OK
