"""Setting up projects in Label Studio: settings, ML backends, webhooks, storages, tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.label_studio.records import LocalStorage, MlBackend, User, Webhook, read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend.label_studio.connection import Connection

IMPORT_TIMEOUT_S = 300.0
BASIC_AUTH = "BASIC_AUTH"


class Administration:
    """What the user of a connection may change in projects; errors as in `LabelStudioClient`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create_project(self, settings: Mapping[str, Any]) -> int:
        """A new project with these settings of Label Studio's API; its id."""
        answer = self._connection.request(
            f"create project {settings.get('title')!r}", "POST", "api/projects/", json=settings, repeatable=False
        )
        return int(answer["id"])

    def update_project(self, project: int, settings: Mapping[str, Any]) -> None:
        """Change these settings of the project."""
        doing = f"change {', '.join(settings)} of project {project}"
        self._connection.request(doing, "PATCH", f"api/projects/{project}/", json=settings)

    def projects_titled(self, title: str) -> tuple[int, ...]:
        """Ids of the projects with exactly this title, oldest first."""
        found: list[int] = []
        page = 1
        while page:
            params = {"title": title, "include": "id,title", "page": str(page), "page_size": "100"}
            answer = self._connection.request("list projects", "GET", "api/projects/", params=params)
            found += [item["id"] for item in answer["results"] if item["title"] == title]
            page = page + 1 if answer.get("next") else 0
        return tuple(sorted(found))

    def user_names(self) -> dict[int, str]:
        """What the people of the organization are called, by id: their e-mail address, else their user name."""
        answer = self._connection.request("list users", "GET", "api/users/")
        found = [read(User, item) for item in (answer["results"] if isinstance(answer, dict) else answer)]
        return {user.id: user.email or user.username for user in found}

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """Add tasks, each `{"data": {...}}`; their ids in that order."""
        answer = self._connection.request(
            f"import {len(tasks)} tasks into project {project}",
            "POST",
            f"api/projects/{project}/import",
            params={"return_task_ids": "true"},
            json=list(tasks),
            repeatable=False,
            timeout_s=IMPORT_TIMEOUT_S,
        )
        return tuple(answer["task_ids"])

    def tabs(self, project: int) -> tuple[str, ...]:
        """The titles of the project's saved Data Manager tabs."""
        params = {"project": str(project)}
        answer = self._connection.request(f"list the tabs of project {project}", "GET", "api/dm/views/", params=params)
        return tuple(str((view.get("data") or {}).get("title", "")) for view in answer)

    def create_tab(self, project: int, title: str, ordering: Sequence[str]) -> None:
        """A saved tab that shows every task, ordered by these columns (`-` before a name: the greatest first)."""
        everything = {"conjunction": "and", "items": []}
        data = {"title": title, "type": "list", "target": "tasks", "ordering": list(ordering), "filters": everything}
        body = {"project": project, "data": data}
        self._connection.request(f"add the tab {title!r}", "POST", "api/dm/views/", json=body, repeatable=False)

    def webhooks(self, project: int) -> tuple[Webhook, ...]:
        """The project's own webhooks, oldest first."""
        found = self._connection.sdk(
            f"list the webhooks of project {project}", lambda sdk: sdk.webhooks.list(project=str(project))
        )
        hooks = (read(Webhook, item.dict()) for item in found)
        return tuple(sorted((hook for hook in hooks if hook.project == project), key=lambda hook: hook.id))

    def create_webhook(self, project: int, url: str, actions: Sequence[str], headers: Mapping[str, str]) -> Webhook:
        """A webhook that is called with the payload of these actions only."""
        created = self._connection.sdk(
            f"create a webhook to {url} in project {project}",
            lambda sdk: sdk.webhooks.create(
                project=project,
                url=url,
                actions=list(actions),
                headers=dict(headers),
                is_active=True,
                send_payload=True,
                send_for_all_actions=False,
            ),
            repeatable=False,
        )
        return read(Webhook, created.dict())

    def update_webhook(self, webhook: int, url: str, actions: Sequence[str], headers: Mapping[str, str]) -> Webhook:
        """Make a webhook what `create_webhook` makes; all of it, since a change without actions clears them."""
        self._connection.sdk(
            f"change webhook {webhook}",
            lambda sdk: sdk.webhooks.update(
                webhook,
                url=url,
                actions=list(actions),
                headers=dict(headers),
                is_active=True,
                send_payload=True,
                send_for_all_actions=False,
            ),
        )
        return read(
            Webhook, self._connection.sdk(f"show webhook {webhook}", lambda sdk: sdk.webhooks.get(webhook)).dict()
        )

    def delete_webhook(self, webhook: int) -> None:
        """Remove a webhook."""
        self._connection.sdk(f"delete webhook {webhook}", lambda sdk: sdk.webhooks.delete(webhook), repeatable=False)

    def ml_backends(self, project: int) -> tuple[MlBackend, ...]:
        """The project's ML backends, oldest first; Label Studio asks each of them for its health meanwhile."""
        found = self._connection.sdk(
            f"list the ML backends of project {project}", lambda sdk: sdk.ml.list(project=project)
        )
        return tuple(sorted((read(MlBackend, item.dict()) for item in found), key=lambda backend: backend.id))

    def create_ml_backend(self, project: int, url: str, title: str, basic_auth: tuple[str, str] | None) -> MlBackend:
        """Connect an ML backend; Label Studio calls its `/health` and `/setup` before it answers."""
        created = self._connection.sdk(
            f"connect the ML backend {url} to project {project}",
            lambda sdk: sdk.ml.create(project=project, url=url, title=title, **_auth(basic_auth)),
            repeatable=False,
        )
        return read(MlBackend, created.dict())

    def update_ml_backend(
        self, backend: int, project: int, url: str, title: str, basic_auth: tuple[str, str] | None
    ) -> MlBackend:
        """Change an ML backend; Label Studio calls it as for a new one."""
        changed = self._connection.sdk(
            f"change ML backend {backend} of project {project}",
            lambda sdk: sdk.ml.update(backend, project=project, url=url, title=title, **_auth(basic_auth)),
        )
        return read(MlBackend, changed.dict())

    def delete_ml_backend(self, backend: int) -> None:
        """Disconnect an ML backend; its webhook stays."""
        self._connection.sdk(f"disconnect ML backend {backend}", lambda sdk: sdk.ml.delete(backend), repeatable=False)

    def local_storages(self, project: int) -> tuple[LocalStorage, ...]:
        """The folders whose files the project may show."""
        found = self._connection.sdk(
            f"list the local storages of project {project}", lambda sdk: sdk.import_storage.local.list(project=project)
        )
        return tuple(read(LocalStorage, item.dict()) for item in found)

    def create_local_storage(self, project: int, path: str, title: str) -> LocalStorage:
        """Let the project show files below a folder of Label Studio's machine, under its document root."""
        created = self._connection.sdk(
            f"add the local storage {path} to project {project}",
            lambda sdk: sdk.import_storage.local.create(project=project, path=path, title=title, use_blob_urls=True),
            repeatable=False,
        )
        return read(LocalStorage, created.dict())


def _auth(basic_auth: tuple[str, str] | None) -> dict[str, str]:
    if basic_auth is None:
        return {"auth_method": "NONE"}
    return {"auth_method": BASIC_AUTH, "basic_auth_user": basic_auth[0], "basic_auth_pass": basic_auth[1]}
