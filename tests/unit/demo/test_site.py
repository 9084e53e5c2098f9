"""What a demo's processes are told, beside whatever else this machine is set up for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from backend.demo.process import start
from backend.demo.services import VRTHINKER, backend_command
from backend.demo.site import Ports, Site
from backend.settings import BUNDLED_CHECKPOINT, load_settings
from tests.needs import missing

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PRODUCTION = """
MODEL=qunwang13/vrthinker
MODEL_REVISION=0123456789ab
ENGINE=openai
BATCH=8
LABEL_STUDIO_PUBLIC_URL=https://studio.example.com
MEDIA_HOSTS=cdn.example.com
"""


def test_a_demo_runs_the_small_model_beside_a_production_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not VRTHINKER.is_file():
        missing(f"vrthinker is not installed beside {sys.executable}")
    (tmp_path / ".env").write_text(PRODUCTION)
    monkeypatch.chdir(tmp_path)
    for line in PRODUCTION.split()[:4]:
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    site = Site(tmp_path / ".demo")
    environment = site.environment(Ports(1, 2, 3), "token")

    here = load_settings(_env_file=None, **{name.lower(): value for name, value in environment.items()})
    assert (here.model, here.model_revision) == (str(BUNDLED_CHECKPOINT), "")
    assert (here.engine, here.batch, here.label_studio_public_url) == ("transformers", 1, "")

    running = start(backend_command("settings", environment, site.logs), tmp_path)
    while running.alive:
        time.sleep(0.05)
    shown = (site.logs / "settings.log").read_text().splitlines()
    running.stop()
    assert {"MODEL_REVISION=", "ENGINE=transformers", "BATCH=1", "MEDIA_HOSTS="} <= set(shown)
    assert f"MODEL={BUNDLED_CHECKPOINT}" in shown
