"""A certificate for proxies and scripted servers of a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.certificates import Authority, Certificate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """A good certificate; its authority is ``ca.pem`` beside it."""
    return Authority(tmp_path).issue("scripted", "localhost")
