"""What tests of the GPU path share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def torch() -> Any:
    """Torch, where it is installed."""
    return pytest.importorskip("torch", reason="needs torch: make test-convert")
