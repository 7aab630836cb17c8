from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.palms import Palm
from vitpose_ros.detect.tiles import TileSearch, tiles, whole_in_tile
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


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        ((300, 300, 50, 50), True),
        ((201, 300, 50, 50), False),  # cut by the tile's left edge
        ((460, 300, 39, 50), False),  # by its right one
        ((300, 0, 50, 50), True),  # at the top the image itself ends
    ],
)
def test_a_palm_cut_by_an_inner_edge_is_not_whole(box, whole):
    tile = Region(350, 150, 300, 300)  # 200 .. 500 across, 0 .. 300 down
    box = (box[0], min(box[1], 240), box[2], box[3])
    assert whole_in_tile(Palm(box, np.zeros((7, 2)), 0.9), tile, 1000, 1000) is whole


def test_tiles_come_in_turn_and_none_is_left_out():
    search, every = TileSearch(), tiles(1920, 1080)
    seen = [search.next_tiles(1920, 1080, 1) for _ in range(len(every))]
    assert all(len(chosen) == 1 for chosen in seen)
    assert {tile for chosen in seen for tile in chosen} == set(every)
    assert search.next_tiles(1920, 1080, 1) == [every[0]]


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_never_more_tiles_than_allowed(count):
    search = TileSearch()
    search.lost(Region(500, 500, 100, 100))
    search.lost(Region(900, 500, 100, 100))
    for _ in range(40):
        assert len(search.next_tiles(1920, 1080, count)) <= count


def test_a_lost_hand_is_looked_for_first_where_it_was_and_not_for_ever():
    search = TileSearch()
    search.lost(Region(700.0, 500.0, 120.0, 120.0))
    every = set(tiles(1920, 1080))
    looks = [search.next_tiles(1920, 1080, 1)[0] for _ in range(60)]
    assert (looks[0].cx, looks[0].cy) == (700.0, 500.0)
    around = [index for index, tile in enumerate(looks) if tile not in every]
    assert 4 <= len(around) <= 12
    assert looks[1] in every  # other places are not kept waiting
    assert around[-1] < 24
    assert {tile for tile in looks if tile in every} == every  # the rest of the image had its turn


def test_a_tile_around_a_lost_hand_stays_in_the_image():
    search = TileSearch()
    search.lost(Region(-20.0, 1079.0, 200.0, 200.0))
    left, _, _, bottom = edges(search.next_tiles(1920, 1080, 1)[0])
    assert left == 0
    assert bottom == 1080


def test_reset_forgets_lost_hands_and_starts_with_the_first_tile():
    search = TileSearch()
    search.next_tiles(1920, 1080, 2)
    search.lost(Region(700, 500, 120, 120))
    search.reset()
    assert search.next_tiles(1920, 1080, 1) == [tiles(1920, 1080)[0]]
