"""Passwords and tokens of one demo: made once, kept where only their owner can read them."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the one Label Studio user is. `personal_access_token` is empty until Label Studio has made it."""

    user: str
    password: str
    legacy_token: str
    personal_access_token: str = ""


@dataclass(frozen=True, slots=True)
class BackendSecrets:
    """What the backend's processes and Label Studio share."""

    redis_password: str
    basic_auth_user: str
    basic_auth_pass: str
    webhook_secret: str


def new_credentials() -> Credentials:
    """A user with a fresh random password and legacy token."""
    return Credentials("demo@example.com", secrets.token_urlsafe(12), secrets.token_hex(20))


def new_backend_secrets() -> BackendSecrets:
    """Fresh random ones."""
    return BackendSecrets(secrets.token_hex(16), "label-studio", secrets.token_urlsafe(18), secrets.token_urlsafe(18))


def load_credentials(path: Path) -> Credentials | None:
    """Those stored at `path`, None when there are none."""
    return Credentials(**json.loads(path.read_text())) if path.is_file() else None


def load_backend_secrets(path: Path) -> BackendSecrets | None:
    """Those stored at `path`, None when there are none."""
    return BackendSecrets(**json.loads(path.read_text())) if path.is_file() else None


def store(path: Path, secret: Credentials | BackendSecrets) -> None:
    """Keep them for the next run."""
    write_secret(path, json.dumps(asdict(secret), indent=2) + "\n")


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # an existing file would keep its mode
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
