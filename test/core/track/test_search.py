from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.geometry import letterbox_region
from vitpose_ros.track.search import LOST_SEARCH_S, MOST_LOST, TileSearch, search_windows, tiles
from vitpose_ros.types import Region


def edges(tile):
    left, top = tile.cx - tile.width / 2, tile.cy - tile.height / 2
    return left, top, left + tile.width, top + tile.height


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (640, 480), (480, 640), (800, 800)])
def test_every_hand_up_to_a_third_of_a_tile_lies_whole_in_one(size):
    width, height = size
    found = tiles(width, height)
    rng = np.random.default_rng(1)
    for side in {tile.width for tile in found}:
        hand = side / 3
        for x, y in rng.uniform((0, 0), (width - hand, height - hand), (200, 2)):
            boxes = [edges(tile) for tile in found if tile.width == side]
            assert any(
                b[0] <= x + 1e-6
                and b[1] <= y + 1e-6
                and x + hand <= b[2] + 1e-6
                and y + hand <= b[3] + 1e-6
                for b in boxes
            )


@pytest.mark.parametrize("size", [(1920, 1080), (641, 479), (300, 2000)])
def test_tiles_lie_inside_the_image_and_show_more_than_the_whole_frame(size):
    for tile in tiles(*size):
        left, top, right, bottom = edges(tile)
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= size[0] + 1e-6
        assert bottom <= size[1] + 1e-6
        assert 192 <= tile.width < max(size)


@pytest.mark.parametrize("size", [(1, 1), (100, 90), (191, 1000)])
def test_an_image_smaller_than_the_detectors_input_has_no_tiles(size):
    assert tiles(*size) == ()


@pytest.mark.parametrize("size", [(1920, 1080), (480, 640), (60, 40)])
def test_one_window_shows_the_whole_image_with_a_border_of_half_its_size(size):
    *inside, wide = search_windows(*size)
    assert tuple(inside) == tiles(*size)
    left, top, right, bottom = edges(wide)
    border = max(size) / 2
    assert left <= -border
    assert right >= size[0] + border
    assert top <= -border
    assert bottom >= size[1] + border


class Searcher:
    """Tiles of images of 1920x1080 that come every 33 ms, each of them searched."""

    def __init__(self):
        self.search, self.stamp_ns = TileSearch(), 10**18

    def lost(self, x=700.0, y=500.0, side=120.0):
        self.search.lost(Region(x, y, side, side), self.stamp_ns)

    def tiles(self, count=1, after_ns=33_000_000):
        self.stamp_ns += after_ns
        whole, *chosen = self.search.windows(1920, 1080, count, self.stamp_ns)
        assert whole == WHOLE
        self.search.advance()
        return chosen

    def followed(self, count=1):
        """The windows while a hand is followed."""
        self.stamp_ns += 33_000_000
        chosen = self.search.windows(1920, 1080, count, self.stamp_ns, followed=True)
        self.search.advance()
        return chosen


EVERY = search_windows(1920, 1080)
WHOLE = letterbox_region(1920, 1080)


def test_tiles_come_in_turn_and_none_is_left_out():
    searcher = Searcher()
    seen = [searcher.tiles() for _ in range(len(EVERY))]
    assert all(len(chosen) == 1 for chosen in seen)
    assert {tile for chosen in seen for tile in chosen} == set(EVERY)
    assert searcher.tiles() == [EVERY[0]]


def test_tiles_that_were_not_searched_come_again():
    search = TileSearch()
    for i in range(3):
        assert search.windows(1920, 1080, 1, i) == (WHOLE, EVERY[0])
        assert search.windows(1920, 1080, 1, i, followed=True) == (WHOLE,)
    assert search.windows(1920, 1080, 1, 3) == (WHOLE, EVERY[0])
    search.advance()
    assert search.windows(1920, 1080, 1, 3) == (WHOLE, EVERY[1])


def test_while_a_hand_is_followed_the_whole_image_and_each_tile_take_turns():
    searcher = Searcher()
    looks = [searcher.followed() for _ in range(2 * len(EVERY) + 1)]
    assert looks[::2] == [(WHOLE,)] * (len(EVERY) + 1)
    assert looks[1::2] == [(tile,) for tile in EVERY]
    assert len(searcher.followed(3)) == 3 and searcher.followed(3) == (WHOLE,)


def test_after_a_hand_was_lost_both_are_searched_in_every_image():
    searcher = Searcher()
    searcher.followed()
    searcher.lost()
    whole, around = searcher.followed()
    assert whole == WHOLE and (around.cx, around.cy) == (700.0, 500.0)
    assert all(look[0] == WHOLE and len(look) == 2 for look in [searcher.followed()] * 3)
    searcher.stamp_ns += int(LOST_SEARCH_S * 1e9)
    assert len(searcher.followed()) == 1


def test_the_turn_begins_anew_with_the_whole_image_when_tracking_restarts():
    searcher = Searcher()
    searcher.followed()
    searcher.search.reset()
    assert searcher.followed() == (WHOLE,)


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_never_more_tiles_than_allowed(count):
    searcher = Searcher()
    searcher.lost(500, 500)
    searcher.lost(900, 500)
    for _ in range(40):
        assert len(searcher.tiles(count)) <= count


def test_the_place_of_a_lost_hand_is_searched_first_and_not_forever():
    searcher = Searcher()
    searcher.lost()
    looks = [searcher.tiles()[0] for _ in range(60)]
    assert (looks[0].cx, looks[0].cy) == (700.0, 500.0)
    around = [index for index, tile in enumerate(looks) if tile not in EVERY]
    assert 4 <= len(around) <= 12
    assert looks[1] in EVERY, "other places are not kept waiting"
    assert around[-1] < 24
    assert {tile for tile in looks if tile in EVERY} == set(EVERY)


def test_places_lost_while_nothing_is_searched_cost_nothing_later():
    searcher = Searcher()
    for i in range(1000):
        searcher.lost(300.0 + i)
        searcher.stamp_ns += 33_000_000
    places = {tile.cx for _ in range(60) for tile in searcher.tiles() if tile not in EVERY}
    assert 0 < len(places) <= MOST_LOST
    searcher.lost()
    assert searcher.tiles(after_ns=int(LOST_SEARCH_S * 1e9) + 1)[0] in EVERY, "it is long gone"


def test_a_tile_around_a_lost_hand_stays_in_the_image():
    searcher = Searcher()
    searcher.lost(-20.0, 1079.0, 200.0)
    left, _, _, bottom = edges(searcher.tiles()[0])
    assert left == 0
    assert bottom == 1080


def test_reset_forgets_lost_hands_and_starts_with_the_first_tile():
    searcher = Searcher()
    searcher.tiles(2)
    searcher.lost()
    searcher.search.reset()
    assert searcher.tiles() == [EVERY[0]]
