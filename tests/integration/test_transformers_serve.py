"""The loop through a server that we did not write: `transformers serve`, where it can start.

It needs a torchvision that fits torch, which the project does not install. It ignores log-probabilities and takes tool
calls out of the text.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from backend.demo.process import free_port
from backend.settings import BUNDLED_CHECKPOINT
from tests.integration.conftest import wait_for
from tests.integration.test_openai import in_process, infer, replies, videos

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.test_openai import Trace

__all__ = ["in_process", "videos"]  # fixtures


@contextmanager
def transformers_serve() -> Iterator[str]:
    """Its base URL; skips where torchvision does not load."""
    usable = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False)
    if usable.returncode:
        pytest.skip("transformers serve needs a torchvision that loads beside this torch")
    port = free_port(0)
    program = str(Path(sys.executable).with_name("transformers"))
    options = ("--device", "cpu", "--dtype", "float32", "--port", str(port))
    process = subprocess.Popen([program, "serve", *options])
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"))
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:  # noqa: S310  # our own address
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def test_it_says_the_same_without_confidence(videos: Path, in_process: Trace) -> None:  # fixtures
    with transformers_serve() as url:
        options = ("--engine", "openai", "--model", str(BUNDLED_CHECKPOINT))
        served = infer(videos, "transformers", *options, OPENAI_BASE_URL=url)
    assert replies(served) == replies(in_process)
    assert {verdict["odds"] for verdict in served["verdicts"].values()} == {None}
