"""Why a network cannot be trained."""

from __future__ import annotations


class TrainError(RuntimeError):
    """Data, a setting, a start or a run that cannot be used; the text says what to do."""
