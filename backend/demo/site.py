"""Where a demo keeps its things, and the settings that its processes share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backend.demo.process import free_port
from backend.demo.secret import (
    load_backend_secrets,
    load_credentials,
    new_backend_secrets,
    new_credentials,
    store,
)
from backend.reasoning.contract import VRTHINKER_128
from backend.settings import BUNDLED_CHECKPOINT

if TYPE_CHECKING:
    from backend.demo.secret import BackendSecrets, Credentials

REDIS_PORT = 6399
RECONCILE_S = 5
SMALL_MODEL = {
    "MODEL": str(BUNDLED_CHECKPOINT),
    "MODEL_REVISION": "",
    "CONTRACT": VRTHINKER_128.name,
    "ENGINE": "transformers",
    "DEVICE": "auto",
    "QUANTIZATION": "none",
    "BATCH": "1",
    "SWAP_CHECK": "off",
}
"""The demo needs no GPU and no weights, whatever model this machine is set up for otherwise."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one run."""

    label_studio: int
    web: int
    redis: int


@dataclass(frozen=True, slots=True)
class Site:
    """One demo's folder; nothing outside it is written to, but for Label Studio's own virtual environment."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held while the demo runs."""
        return self.root / "lock"

    @property
    def records(self) -> Path:
        """What is running, for the next run to find."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.root / "logs"

    @property
    def data(self) -> Path:
        """Label Studio's data."""
        return self.root / "label-studio"

    @property
    def files(self) -> Path:
        """The root of the files that Label Studio serves; a storage may only cover folders below it."""
        return self.root / "files"

    @property
    def clips(self) -> Path:
        """The videos."""
        return self.files / "clips"

    @property
    def redis(self) -> Path:
        """Redis's data."""
        return self.root / "redis"

    def credentials(self) -> Credentials:
        """Label Studio's user, made at the first call."""
        kept = load_credentials(self._credentials)
        if kept is None:
            kept = new_credentials()
            store(self._credentials, kept)
        return kept

    def keep(self, credentials: Credentials) -> None:
        """Remember the user, now with a token."""
        store(self._credentials, credentials)

    def secrets(self) -> BackendSecrets:
        """What the processes share, made at the first call."""
        path = self.root / "backend.json"
        kept = load_backend_secrets(path)
        if kept is None:
            kept = new_backend_secrets()
            store(path, kept)
        return kept

    def environment(self, ports: Ports, api_key: str) -> dict[str, str]:
        """The variables that set up web, worker and publisher; the model is the small one that is shipped."""
        secrets = self.secrets()
        return {
            **SMALL_MODEL,
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{ports.label_studio}",
            "LABEL_STUDIO_PUBLIC_URL": "",  # the same
            "LABEL_STUDIO_API_KEY": api_key,
            "REDIS_URL": f"redis://:{secrets.redis_password}@127.0.0.1:{ports.redis}/0",
            "DATABASE_URL": f"sqlite:///{self.root / 'ledger.db'}",
            "MEDIA_CACHE_DIR": str(self.root / "media"),
            "EXPORT_DIR": str(self.root / "exports"),
            "HOST": "127.0.0.1",
            "PORT": str(ports.web),
            "BASIC_AUTH_USER": secrets.basic_auth_user,
            "BASIC_AUTH_PASS": secrets.basic_auth_pass,
            "WEBHOOK_SECRET": secrets.webhook_secret,
            "RECONCILE_INTERVAL_S": str(RECONCILE_S),
            "BLIND_SHARE": "0",  # every task is to show its prediction
            "OMP_NUM_THREADS": "1",  # so small a model is quickest on one thread, above all on a busy machine
        }

    @property
    def _credentials(self) -> Path:
        return self.root / "label-studio.json"


def choose_ports(label_studio: int, web: int) -> Ports:
    """The wanted ports where they are free, else others."""
    return Ports(free_port(label_studio), free_port(web), free_port(REDIS_PORT))
