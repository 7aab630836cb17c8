"""Fixtures of the GPU path's tests."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def torch() -> Any:
    """Torch; skips where it is not installed."""
    return pytest.importorskip("torch", reason="needs torch: make test-convert")
