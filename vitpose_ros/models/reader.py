"""Reads YAML field by field; every error names the file, the entry and the field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import yaml

from vitpose_ros.models.errors import CatalogueError


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with an error for a repeated key."""


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key}' is repeated", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def load_yaml(text: str) -> Any:
    """Parse YAML of plain values; yaml.YAMLError names the problem and its line."""
    return yaml.load(text, Loader=_Loader)  # a SafeLoader, see above


class Reader:
    """Takes the fields of one mapping one by one; any field left at the end is an error.

    Parameters
    ----------
    owner : the entry's name in errors, e.g. "models.yaml: model 'x'".
    prefix : the mapping's path inside the entry, e.g. "files[0]"; "" for the entry itself.
    content : the parsed YAML.
    """

    def __init__(self, owner: str, prefix: str, content: Any) -> None:
        self._owner, self._prefix = owner, prefix
        if not isinstance(content, dict):
            where = f": field '{prefix}'" if prefix else ""
            raise CatalogueError(
                f"{owner}{where}: expected a mapping of fields, got {_shown(content)}."
            )
        self._known: list[str] = []
        self._left = dict(content)

    def path(self, name: str) -> str:
        """The field's full path inside the entry."""
        return f"{self._prefix}.{name}" if self._prefix else name

    def error(self, name: str, problem: str) -> CatalogueError:
        """An error about one field, for the caller to raise."""
        return CatalogueError(f"{self._owner}: field '{self.path(name)}': {problem}.")

    def take(self, name: str) -> Any:
        """Take a field of any type, None if absent."""
        self._known.append(name)
        return self._left.pop(name, None)

    def finish(self) -> None:
        """CatalogueError if a field has not been taken."""
        if self._left:
            name = str(next(iter(self._left)))
            raise self.error(name, f"unknown field; known are {', '.join(self._known)}")

    def text(self, name: str) -> str:
        """Take a non-empty text."""
        value = self.take(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(name, f"expected a text, got {_shown(value)}")
        return value

    def optional_text(self, name: str) -> str | None:
        """Take a text, None if absent."""
        return self.text(name) if self._left.get(name) is not None else self.take(name)

    def matching(self, name: str, pattern: re.Pattern[str], meaning: str) -> str:
        """Take a text that matches the whole pattern; `meaning` describes it in words."""
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise self.error(name, f"expected {meaning}, got '{value}'")
        return value

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        """Take one of the allowed words."""
        value = self.text(name)
        if value not in allowed:
            raise self.error(name, f"expected one of {', '.join(allowed)}, got '{value}'")
        return value

    def optional_choice(self, name: str, allowed: Iterable[str]) -> str | None:
        """Take one of the allowed words, None if absent."""
        return self.choice(name, allowed) if self._left.get(name) is not None else self.take(name)

    def url(self, name: str) -> str:
        """Take an http or https address."""
        value = self.text(name)
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise self.error(name, f"expected an http or https address, got '{value}'")
        return value

    def optional_url(self, name: str) -> str | None:
        """Take an http or https address, None if absent."""
        return self.url(name) if self._left.get(name) is not None else self.take(name)

    def integer(self, name: str, least: int | None = None) -> int:
        """Take a whole number, at least `least`."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, f"expected a whole number, got {_shown(value)}")
        if least is not None and value < least:
            raise self.error(name, f"expected at least {least}, got {value}")
        return value

    def optional_integer(self, name: str, least: int | None = None) -> int | None:
        """Take a whole number, None if absent."""
        return self.integer(name, least) if self._left.get(name) is not None else self.take(name)

    def number(self, name: str) -> float:
        """Take a finite number."""
        value = self.take(name)
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or not math.isfinite(value)
        ):
            raise self.error(name, f"expected a number, got {_shown(value)}")
        return float(value)

    def boolean(self, name: str) -> bool:
        """Take true or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            raise self.error(name, f"expected true or false, got {_shown(value)}")
        return value

    def mapping(self, name: str) -> dict[Any, Any]:
        """Take a mapping."""
        value = self.take(name)
        if not isinstance(value, dict):
            raise self.error(name, f"expected a mapping, got {_shown(value)}")
        return value

    def nested(self, name: str, content: Any) -> Reader:
        """A reader for a mapping taken from this one, at the path `name`."""
        return Reader(self._owner, self.path(name), content)

    def child(self, name: str) -> Reader:
        """Take a mapping; returns its reader."""
        return self.nested(name, self.take(name))

    def optional_child(self, name: str) -> Reader | None:
        """Take a mapping; returns its reader, None if absent."""
        return self.child(name) if self._left.get(name) is not None else self.take(name)

    def children(self, name: str) -> list[Reader]:
        """Take a list of mappings, possibly empty; returns their readers."""
        value = self.take(name)
        if not isinstance(value, list):
            raise self.error(name, f"expected a list, got {_shown(value)}")
        return [
            Reader(self._owner, f"{self.path(name)}[{i}]", item) for i, item in enumerate(value)
        ]

    def settings(self, name: str) -> dict[str, Any]:
        """Take an optional mapping of words to numbers, words, booleans and lists of them."""
        value = self.take(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.error(name, f"expected a mapping of words, got {_shown(value)}")
        for key, item in value.items():
            for part in item if isinstance(item, list) else [item]:
                if not isinstance(part, (int, float, str)):
                    raise self.error(
                        f"{name}.{key}", f"expected numbers or words, got {_shown(part)}"
                    )
        return value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
