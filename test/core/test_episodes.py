"""Episodes from marks."""

from __future__ import annotations

import pytest

from vitpose_ros.episodes import END, START, Episode, episodes


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], []),
        ([(1, START), (5, END), (7, START), (9, END)], [Episode(1, 5), Episode(7, 9)]),
        ([(1, START), (5, END), (7, START)], [Episode(1, 5), Episode(7, None)]),
        ([(1, START), (3, START), (5, END)], [Episode(3, 5)]),
        ([(1, END), (3, START), (5, END), (6, END)], [Episode(3, 5)]),
        ([(1, "camera"), (3, START), (4, "note"), (5, END)], [Episode(3, 5)]),
    ],
    ids=["none", "two", "cut off", "given up", "end without start", "other logs"],
)
def test_an_episode_lies_between_its_marks(marks, expected):
    assert episodes(marks) == expected
