"""Label Studio in a virtual environment of its own: installed once, started without anyone at the keyboard."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from backend.demo.process import Command, locked
from backend.demo.services import ROOT, answers
from backend.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.demo.process import Processes, Running
    from backend.demo.secret import Credentials

VENV = ROOT / ".label-studio" / "venv"
REQUIREMENTS = ROOT / "requirements" / "label-studio.txt"
READY_S = 600.0
INSTALL_S = 900.0

# Reaching nobody: analytics, error reports and version checks have switches; the start page's tips have none, so https
# goes to a dead proxy. Private addresses are refused by default, and the demo's backend and files live on loopback.
QUIET = {
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
    "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_FEATURE_FLAGS_OFFLINE": "true",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
}


def install_label_studio(processes: Processes, venv: Path = VENV) -> Path:
    """The `label-studio` program of a virtual environment of its own, made at the first call.

    Raises:
        ServiceError: uv is not there, or the installation failed; ends with uv's own words.
    """
    program = venv / "bin" / "label-studio"
    ready = venv / ".ready"
    wanted = REQUIREMENTS.read_text()
    with locked(venv.parent / "install.lock"):
        if not (ready.is_file() and ready.read_text() == wanted):
            uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
            if uv is None:
                raise ServiceError("Label Studio is installed with uv, which is not here. Install it: pip install uv")
            python = venv / "bin" / "python"
            if not python.is_file():
                _install(processes, venv, uv, "venv", "--quiet", "--python", sys.executable, str(venv))
            _install(processes, venv, uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(REQUIREMENTS))
            ready.write_text(wanted)
    return program


def _install(processes: Processes, venv: Path, *argv: str) -> None:
    log = venv.parent / "install.log"
    processes.begin(Command("Label Studio's installation", argv, log)).finish(timeout_s=INSTALL_S)


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """One Label Studio: its program, data folder, the files it serves, its port, user and log."""

    program: Path
    data: Path
    files_root: Path
    port: int
    credentials: Credentials
    log: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Command:
        """The unattended server, without this process's environment: Label Studio would read HOST, PORT and DEBUG."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.files_root.mkdir(parents=True, exist_ok=True)
        environment = QUIET | {
            "PATH": os.defpath,
            "HOME": str(self.data),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.data),
            "LABEL_STUDIO_HOST": self.url,
            "LABEL_STUDIO_USERNAME": self.credentials.user,
            "LABEL_STUDIO_PASSWORD": self.credentials.password,
            "LABEL_STUDIO_USER_TOKEN": self.credentials.legacy_token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.files_root),
        }
        argv = (str(self.program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(self.port))
        return Command("Label Studio", argv, self.log, environment, isolated=True)

    def wait(self, running: Running, migrated: Callable[[int], None] = lambda _count: None) -> LabelStudio:
        """Wait until it answers; the same with a personal access token. `migrated` hears how far its database is.

        Raises:
            ServiceError: it ended, or does not answer in time, or gives no token.
        """

        def ready() -> bool:
            migrated(self.log.read_text(errors="replace").count("Applying "))
            return answers(f"{self.url}/health")

        running.wait_until(ready, timeout_s=READY_S)
        if self.credentials.personal_access_token:
            return self
        made = httpx.post(
            f"{self.url}/api/token/", headers={"Authorization": f"Token {self.credentials.legacy_token}"}, timeout=60
        )
        if made.status_code != httpx.codes.CREATED:
            raise ServiceError(
                f"Label Studio gave no personal access token: {made.status_code} {made.text[:200]}. "
                f"Remove {self.data} to start afresh."
            )
        token = made.json()["token"]
        return replace(self, credentials=replace(self.credentials, personal_access_token=token))
