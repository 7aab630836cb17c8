"""What HandSettings accepts; what it does to the images is in test_pipeline.py."""

from __future__ import annotations

import pytest

from vitpose_ros.settings import HandSettings


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("max_hands", 0, "a whole number from 1 to 16"),
        ("max_hands", 17, "a whole number from 1 to 16"),
        ("max_hands", 2.0, "a whole number from 1 to 16"),
        ("max_hands", True, "a whole number from 1 to 16"),
        ("search_tiles_per_frame", 0, "a whole number from 1 to 16"),
        ("detection_threshold", 1.1, "a number from 0 to 1"),
        ("presence_threshold", float("nan"), "a number from 0 to 1"),
        ("presence_threshold", "0.5", "a number from 0 to 1"),
        ("input_mirrored", 1, "true or false"),
        ("search", "yes", "true or false"),
        ("static", None, "true or false"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_accepted(field, value, accepted):
    with pytest.raises(ValueError, match=f"{field}: expected {accepted}, got"):
        HandSettings(**{field: value})
