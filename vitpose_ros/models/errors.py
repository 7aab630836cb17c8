"""What can go wrong with models. Every text is a whole sentence for the person who has to act."""

from __future__ import annotations


class ModelError(RuntimeError):
    """A model cannot be had or used; the text says what was given, what is expected and which
    command helps.
    """


class CatalogueError(ModelError):
    """A catalogue file cannot be read; the text names the file, the entry and the field."""


class UnknownModelError(ModelError):
    """A name that no catalogue entry has, or that belongs to another task."""


class SourceError(ModelError):
    """One source of a file failed; another may still have it."""
