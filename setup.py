"""Puts the labeling configs, which lie at the top of the repository, into the package; pyproject.toml has the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = Path(__file__).parent / "label_config"


class BuildWithConfigs(build_py):
    """An installed package has no repository around it, so it carries the configs along."""

    def run(self) -> None:
        """Build, then copy; an editable installation reads them where they are."""
        super().run()
        if not self.editable_mode:
            shutil.copytree(CONFIGS, Path(self.build_lib) / "backend" / "label_config", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
