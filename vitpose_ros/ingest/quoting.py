"""Text from other nodes' messages, made safe for logs."""

from __future__ import annotations

LIMIT = 60
"""Characters shown at most; a damaged message can hold megabytes."""


def quoted(text: str) -> str:
    """Text in quotes, without line breaks, control characters or more than LIMIT characters."""
    shown: list[str] = []
    length = 0
    for character in text:
        piece = character
        if not character.isprintable() or character in "\\'":
            piece = f"\\{character}" if character == "'" else _escaped(character)
        length += len(piece)
        if length > LIMIT:
            return f"'{''.join(shown)}'..."
        shown.append(piece)
    return f"'{''.join(shown)}'"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
