"""Connecting a project: created or repaired until it is as it should be, and left alone where it is already."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from backend.errors import LabelStudioError
from backend.label_studio.administration import BASIC_AUTH
from backend.label_studio.webhook import HINTS, SECRET_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.label_studio.administration import Administration
    from backend.label_studio.client import LabelStudioClient
    from backend.label_studio.records import MlBackend, Project, Webhook

TITLE = "VR-Thinker"
CONNECTED = "CO"
LEAST_CERTAIN = "Least certain first"
SETTINGS = {"show_collab_predictions": True, "evaluate_predictions_automatically": False}
"""Predictions are shown in the label stream, and Label Studio asks for none while it lists tasks."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a project is to be connected to.

    `backend_url` is the web process as seen from Label Studio; with `keep_address` it is for new connections only, and
    one that is there keeps its address. `label_config` is left as it is when None. `storage_paths` are folders on Label
    Studio's machine, below its local-files document root. `model_version` is what the web process answers, by which a
    backend is known whatever its title and address.
    """

    backend_url: str
    label_config: str | None = None
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    webhook_secret: str = field(default="", repr=False)
    storage_paths: tuple[str, ...] = ()
    title: str = TITLE
    keep_address: bool = False
    model_version: str = ""

    @property
    def webhook_url(self) -> str:
        """Where Label Studio reports annotations and tasks to."""
        return f"{self.backend_url.rstrip('/')}/webhook"

    @property
    def webhook_headers(self) -> dict[str, str]:
        """What the webhook sends with it."""
        return {SECRET_HEADER: self.webhook_secret} if self.webhook_secret else {}


@dataclass(frozen=True, slots=True)
class ConnectedProject:
    """The project as it is now; `changes` says what had to be done, nothing when it was as it should be."""

    project: Project
    ml_backend: MlBackend
    webhook: Webhook
    changes: tuple[str, ...]


def connect(
    client: LabelStudioClient, target: Target, *, project: int | None = None, title: str = ""
) -> ConnectedProject:
    """Create the project of that title, or repair it or the one with that id; calling it again changes nothing.

    Which predictions are shown first is not set here: Label Studio accepts a model version only once one of its
    predictions is stored (`LabelStudioClient.set_model_version`).

    Raises:
        LabelStudioError: a setting is refused; its text says which, and what to do about private addresses.
    """
    changes: list[str] = []
    number = _project(client, target, project, title, changes)
    admin = client.administration
    _storages(admin, number, target, changes)
    _tab(admin, number, changes)
    backends = ours(admin, number, target)
    if target.keep_address:
        target = replace(target, backend_url=_address(admin, number, target, backends))
    # The webhook comes last: Label Studio makes one of its own for a new ML backend, to be narrowed to what is ours.
    backend = _ml_backend(admin, number, target, backends, changes)
    webhook = _webhook(admin, number, target, backends, changes)
    return ConnectedProject(client.project(number), backend, webhook, tuple(changes))


def _project(client: LabelStudioClient, target: Target, project: int | None, title: str, changes: list[str]) -> int:
    """The id of the project, made where there is none."""
    # Label Studio strips what it stores.
    config = {} if target.label_config is None else {"label_config": target.label_config.strip()}
    if project is None:
        same = client.administration.projects_titled(title)
        if len(same) > 1:
            raise LabelStudioError(
                f"Projects {', '.join(map(str, same))} are all titled {title!r}: name one by its id."
            )
        if not same:
            changes.append(f"created project {title!r}")
            return client.administration.create_project({"title": title, **config, **SETTINGS})
        project = same[0]
    current = client.project(project)
    wrong = {key: value for key, value in {**config, **SETTINGS}.items() if getattr(current, key) != value}
    if wrong:
        client.administration.update_project(project, wrong)
        changes.append(f"changed {', '.join(wrong)}")
    return project


def ours(admin: Administration, project: int, target: Target) -> list[MlBackend]:
    """The ML backends that are us; people who connect by hand choose any title, and an address of their own.

    One is us by its address, our title, our model version, or our secret's header on its webhook.
    """
    url, told = target.backend_url.rstrip("/"), _told(admin, project)
    return [
        backend
        for backend in admin.ml_backends(project)
        if backend.url.rstrip("/") in {url, *told}
        or backend.title == target.title
        or (target.model_version and backend.model_version == target.model_version)
    ]


def present_address(backends: Sequence[MlBackend]) -> str:
    """Where one of them is reached: of several, the first that Label Studio could connect to. Empty for none."""
    reached = [backend for backend in backends if backend.state == CONNECTED]
    return next((backend.url.rstrip("/") for backend in (*reached, *backends)), "")


def _address(admin: Administration, project: int, target: Target, backends: Sequence[MlBackend]) -> str:
    """Where we are reached already, by an ML backend, else by a webhook that outlived one; else the target's."""
    return present_address(backends) or next(iter(_told(admin, project)), target.backend_url)


def _told(admin: Administration, project: int) -> tuple[str, ...]:
    """The addresses of web processes that webhooks with our secret's header report to."""
    marked = (hook.url.rstrip("/") for hook in admin.webhooks(project) if SECRET_HEADER in hook.headers)
    return tuple(url.removesuffix("/webhook") for url in marked)


def _storages(admin: Administration, project: int, target: Target, changes: list[str]) -> None:
    """Have a local storage for each folder, so that Label Studio serves its files."""
    present = {storage.path.rstrip("/") for storage in admin.local_storages(project)} if target.storage_paths else set()
    for path in target.storage_paths:
        if path.rstrip("/") not in present:
            admin.create_local_storage(project, path, target.title)
            changes.append(f"added local storage {path}")


def _tab(admin: Administration, project: int, changes: list[str]) -> None:
    """Have a Data Manager tab that shows the tasks first which the model was least sure of; people may change it."""
    present = admin.tabs(project)
    if LEAST_CERTAIN not in present:
        if not present:
            admin.create_tab(project, "Default", ())  # which Label Studio itself makes only where there is no tab
        admin.create_tab(project, LEAST_CERTAIN, ("tasks:predictions_score",))
        changes.append(f"added the tab {LEAST_CERTAIN!r}")


def _webhook(
    admin: Administration, project: int, target: Target, backends: Sequence[MlBackend], changes: list[str]
) -> Webhook:
    """Have exactly one webhook to us; `backends` are the ML backends as they were, whose webhooks outlive them."""
    addresses = {f"{backend.url.rstrip('/')}/webhook" for backend in backends} | {target.webhook_url}
    ours = [hook for hook in admin.webhooks(project) if hook.url.rstrip("/") in addresses]
    kept = next((hook for hook in ours if is_right(hook, target)), ours[0] if ours else None)
    for extra in ours:
        if extra is not kept:
            admin.delete_webhook(extra.id)
            changes.append(f"deleted webhook {extra.id} to {extra.url}")
    if kept is not None and is_right(kept, target):
        return kept
    changes.append(f"{'created a' if kept is None else 'changed the'} webhook to {target.webhook_url}")
    if kept is None:
        return admin.create_webhook(project, target.webhook_url, HINTS, target.webhook_headers)
    return admin.update_webhook(kept.id, target.webhook_url, HINTS, target.webhook_headers)


def is_right(hook: Webhook, target: Target) -> bool:
    """Whether a webhook reports just what it should, with the secret."""
    return (
        hook.url == target.webhook_url
        and set(hook.actions) == set(HINTS)
        and dict(hook.headers) == target.webhook_headers
        and (hook.is_active, hook.send_payload, hook.send_for_all_actions) == (True, True, False)
    )


def _ml_backend(
    admin: Administration, project: int, target: Target, backends: Sequence[MlBackend], changes: list[str]
) -> MlBackend:
    """Have exactly one ML backend that is us."""
    url = target.backend_url.rstrip("/")
    if not backends:
        changes.append(f"connected the ML backend {url}")
        return admin.create_ml_backend(project, url, target.title, target.basic_auth)
    user = target.basic_auth[0] if target.basic_auth else None
    wanted = (url, target.title, user)
    kept = next((backend for backend in backends if _identity(backend) == wanted), backends[0])
    for extra in backends:
        if extra is not kept:
            admin.delete_ml_backend(extra.id)
            changes.append(f"disconnected ML backend {extra.id}, {extra.url}")
    if _identity(kept) != wanted:
        changes.append(f"changed ML backend {kept.id} to {target.title!r} at {url}")
    elif user is None and kept.state == CONNECTED:
        return kept
    # Its password cannot be read back, so it is set anew; that also lets Label Studio try the connection.
    return admin.update_ml_backend(kept.id, project, url, target.title, target.basic_auth)


def _identity(backend: MlBackend) -> tuple[str, str, str | None]:
    user = backend.basic_auth_user if backend.auth_method == BASIC_AUTH else None
    return backend.url.rstrip("/"), backend.title, user
