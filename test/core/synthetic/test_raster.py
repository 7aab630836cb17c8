"""The rasteriser against what geometry says."""

from __future__ import annotations

import numpy as np

from vitpose_ros.synthetic.raster import Fragments, rasterise


def _draw(uv: list, z: list, faces: list, buffer: np.ndarray) -> Fragments:
    inverse_z = (1.0 / np.array(z)).astype(np.float32)
    return rasterise(np.array(uv, np.float32), inverse_z, np.array(faces), buffer)


def test_two_triangles_of_a_square_cover_every_pixel_once() -> None:
    buffer = np.zeros((20, 30), np.float32)
    square = [(3, 2), (13, 2), (13, 12), (3, 12)]
    drawn = _draw(square, [2.0] * 4, [(0, 1, 2), (0, 2, 3)], buffer)
    v, u = np.divmod(drawn.pixel, 30)
    assert len(np.unique(drawn.pixel)) == len(drawn.pixel) == 11 * 11
    assert (u.min(), u.max(), v.min(), v.max()) == (3, 13, 2, 12)
    assert np.allclose(drawn.depth_m, 2.0)
    assert np.count_nonzero(buffer) == 11 * 11


def test_a_face_that_looks_away_is_not_drawn() -> None:
    buffer = np.zeros((20, 20), np.float32)
    assert len(_draw([(2, 2), (2, 15), (15, 2)], [1.0] * 3, [(0, 1, 2)], buffer).pixel) == 0
    assert not buffer.any()


def test_the_nearest_face_wins_also_where_faces_cut_through_each_other() -> None:
    buffer = np.zeros((40, 40), np.float32)
    uv = [(0, 0), (39, 0), (0, 39)] * 2
    drawn = _draw(uv, [1.0, 2.0, 2.0, 2.0, 1.0, 1.0], [(0, 1, 2), (3, 4, 5)], buffer)
    near_first = drawn.pixel[drawn.face == 0]
    # By symmetry the two planes meet half way, where the depths are the same.
    v, u = np.divmod(near_first, 40)
    assert (u + v).max() <= 20
    assert len(drawn.pixel) == 40 * 41 // 2


def test_what_is_behind_the_buffer_stays_hidden() -> None:
    buffer = np.full((20, 20), 1.0, np.float32)
    assert len(_draw([(2, 2), (15, 2), (2, 15)], [1.5] * 3, [(0, 1, 2)], buffer).pixel) == 0
    assert (buffer == 1.0).all()


def test_weights_are_those_of_the_point_in_space() -> None:
    buffer = np.zeros((60, 60), np.float32)
    points = np.array([(-0.4, -0.4, 1.0), (0.9, -0.7, 2.0), (-0.5, 0.8, 1.5)])
    uv = points[:, :2] / points[:, 2:] * 50 + 30
    drawn = _draw(uv.tolist(), points[:, 2].tolist(), [(0, 1, 2)], buffer)
    v, u = np.divmod(drawn.pixel, 60)
    hit = drawn.weights @ points
    assert len(drawn.pixel) > 300
    assert np.allclose(hit[:, 2], drawn.depth_m, atol=1e-4)
    assert np.allclose(hit[:, 0] / hit[:, 2] * 50 + 30, u, atol=2e-2)
    assert np.allclose(hit[:, 1] / hit[:, 2] * 50 + 30, v, atol=2e-2)


def test_a_triangle_that_reaches_over_the_border_is_cut() -> None:
    buffer = np.zeros((10, 10), np.float32)
    drawn = _draw([(-50, -50), (100, -50), (-50, 100)], [1.0] * 3, [(0, 1, 2)], buffer)
    assert len(drawn.pixel) == 100


def test_a_triangle_with_a_corner_behind_the_camera_is_left_out() -> None:
    buffer = np.zeros((10, 10), np.float32)
    uv = np.array([(0, 0), (9, 0), (0, 9)], np.float32)
    near = np.array([1.0, 0.0, 1.0], np.float32)
    assert len(rasterise(uv, near, np.array([(0, 1, 2)]), buffer).pixel) == 0
