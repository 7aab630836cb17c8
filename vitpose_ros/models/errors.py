"""Errors about models. Each text is a complete sentence for the user."""

from __future__ import annotations


class ModelError(RuntimeError):
    """A model is missing or unusable. The text says what was given, what is expected and which
    command helps.
    """


class CatalogueError(ModelError):
    """A catalogue has an error; the text names the file, the entry and the field."""


class UnknownModelError(ModelError):
    """The catalogue has no model of this name, or not for this task."""


class SourceError(ModelError):
    """One source of a file failed; another may still have it."""
