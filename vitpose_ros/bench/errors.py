"""Errors of benchmarks. Each text is a complete sentence for the user."""

from __future__ import annotations


class BenchError(RuntimeError):
    """A benchmark cannot run. The text says what was given and what helps."""
