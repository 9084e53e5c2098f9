"""What an image or an installation without the repository needs is in the package that is built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COPIED = re.compile(r"^COPY (.+) \S+$", re.MULTILINE)
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
LOOK = "from backend.label_studio.shipped import shipped_config as c; print(c(), c().is_file())"


def copied(dockerfile: str) -> list[str]:
    """What of the repository the image is built from."""
    text = (ROOT / "docker" / dockerfile).read_text(encoding="utf-8")
    return [source for line in COPIED.findall(text) for source in line.split()]


@pytest.mark.parametrize("dockerfile", ["backend.Dockerfile", "worker.Dockerfile"])
def test_the_files_that_an_image_is_built_from_are_let_through(dockerfile: str) -> None:
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert [source for source in copied(dockerfile) if f"!{source}" not in let_through] == []


def test_a_package_built_from_what_the_image_has_carries_the_labeling_configs(tmp_path: Path) -> None:
    for source in copied("backend.Dockerfile"):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, tmp_path / source)
    built, installed = tmp_path / "built", tmp_path / "installed"
    subprocess.run([sys.executable, "-c", BUILD, str(built)], cwd=tmp_path, check=True, capture_output=True)
    [wheel] = built.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    config = installed / "backend" / "label_config" / "pairwise_video.xml"
    assert config.read_bytes() == (ROOT / "label_config" / "pairwise_video.xml").read_bytes()
    assert (installed / "backend" / "py.typed").is_file()
    found = subprocess.run([sys.executable, "-c", LOOK], cwd=installed, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == f"{config} True"
