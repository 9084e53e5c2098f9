"""What a test does when a service is missing: locally it is skipped with the reason, in CI it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test; fail it where the environment variable CI is set."""
    if os.environ.get("CI"):  # noqa: TID251  # says where the tests run, no setting of the product
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
