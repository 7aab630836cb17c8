"""Text from messages in the log: one short line, nothing that a terminal acts on."""

from __future__ import annotations

import pytest

from vitpose_ros.ingest.quoting import LIMIT, quoted

QUOTED = [
    ("", "''"),
    ("bgr8", "'bgr8'"),
    ("rgb8; jpeg compressed bgr8", "'rgb8; jpeg compressed bgr8'"),
    ("grün", "'grün'"),
    ("a\nb\r\tc", r"'a\nb\r\tc'"),
    ("\x1b[31mred\x07", r"'\x1b[31mred\x07'"),
    ("\u202eright to left", r"'\u202eright to left'"),
    ("it's", r"'it\'s'"),
    ("back\\slash", r"'back\\slash'"),
    ("\udc80", r"'\udc80'"),
    ("x" * LIMIT, f"'{'x' * LIMIT}'"),
    ("x" * (LIMIT + 1), f"'{'x' * LIMIT}'..."),
    ("\n" * 1000, "'" + r"\n" * (LIMIT // 2) + "'..."),
]


@pytest.mark.parametrize(("text", "shown"), QUOTED, ids=[ascii(row[0])[:20] for row in QUOTED])
def test_text_is_escaped_and_cut(text: str, shown: str) -> None:
    assert quoted(text) == shown
