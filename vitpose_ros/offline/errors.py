"""Why an item cannot be annotated."""

from __future__ import annotations


class OfflineError(RuntimeError):
    """An input, a setting or an output that cannot be used; the text says what to do."""


class UsageError(OfflineError):
    """The command itself does not fit: no item was begun."""


def missing_library(error: ImportError) -> OfflineError:
    """The error for a library of requirements/offline.txt that is not installed."""
    return OfflineError(
        f"the Python package {error.name} is not installed, or cannot be used ({error}): "
        "pip install 'rosbags>=0.11' mcap pyarrow av h5py 'pycocotools>=2.0.11' jinja2"
    )
