"""The camera model against OpenCV's functions, its own round trips, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros.camera import COEFFICIENTS, CameraModel

Points = npt.NDArray[np.float64]
SIZE = (1280, 720)
TILT, _ = cv2.Rodrigues(np.array([0.03, -0.05, 0.02]))
ROTATION = tuple(float(number) for number in TILT.ravel())


def camera(model: str = "plumb_bob", distortion: Any = (), **changes: Any) -> CameraModel:
    given = {"fx": 700.0, "fy": 690.0, "cx": 643.3, "cy": 355.2, **changes}
    return CameraModel(*SIZE, **given, distortion_model=model, distortion=distortion)


# Calibrations of lenses: from nearly none to strong, barrel and pincushion.
PINHOLES = {
    "no distortion": camera(),
    "all zero": camera("rational_polynomial", (0.0,) * 8),
    "webcam": camera("plumb_bob", (0.08, -0.19, 0.001, -0.002, 0.05)),
    "strong barrel": camera("plumb_bob", (-0.36, 0.16, 0.0005, -0.0012, -0.035)),
    "strong tangential": camera("plumb_bob", (0.1, 0.05, 0.01, -0.01, 0.02)),
    "wide rational": camera(
        "rational_polynomial", (13.1, 9.3, 1e-4, -1e-4, 0.6, 13.5, 15.2, 3.0), fx=420.0, fy=421.0
    ),
    "depth camera": camera(
        "rational_polynomial", (0.53, -2.63, 6e-4, -2e-4, 1.52, 0.41, -2.45, 1.45)
    ),
    "stereo": camera("plumb_bob", (-0.17, 0.03, 2e-4, -3e-4, 0.0), rotation=ROTATION),
}
FISHEYES = {
    "ideal": camera("equidistant", fx=300.0, fy=301.0),
    "200 degrees": camera("equidistant", (-0.02, 0.01, -0.003, 0.0004), fx=300.0, fy=301.0),
    "narrow": camera("equidistant", (0.05, -0.03, 0.02, -0.005)),
    "stereo": camera("equidistant", (-0.01, 0.02, -0.01, 0.001), fx=380.0, rotation=ROTATION),
}
ALL = {**PINHOLES, **{f"fisheye {name}": one for name, one in FISHEYES.items()}}


def by_name(cameras: dict[str, CameraModel]) -> Any:
    return pytest.mark.parametrize("model", cameras.values(), ids=cameras.keys())


def pixels(count: int = 400) -> Points:
    return np.random.default_rng(1).uniform((0, 0), (SIZE[0] - 1, SIZE[1] - 1), (count, 2))


def points(count: int = 400, widest: float = 0.7) -> Points:
    rng = np.random.default_rng(2)
    z = rng.uniform(0.2, 4.0, count)
    return np.stack([*(rng.uniform(-widest, widest, (2, count)) * z), z], axis=1)


def matrices(model: CameraModel) -> tuple[Points, Points, Points]:
    """K, D and R as OpenCV takes them."""
    count = len(COEFFICIENTS[model.distortion_model])
    distortion = np.array(model.distortion or (0.0,) * count)
    rotation = np.eye(3) if model.rotation is None else np.reshape(model.rotation, (3, 3))
    return model.k, distortion, rotation


# --- against OpenCV


@by_name(PINHOLES)
def test_pinhole_projection_is_that_of_opencv(model: CameraModel) -> None:
    k, d, r = matrices(model)
    xyz = points(widest=0.6)
    # OpenCV takes the pose of the points in the lens's frame: R is from there to the optical one.
    there, _ = cv2.Rodrigues(r.T)
    expected, _ = cv2.projectPoints(xyz[:, None], there, np.zeros(3), k, d)
    given = model.project(xyz)
    assert np.isfinite(given).all()
    np.testing.assert_allclose(given, expected[:, 0], atol=1e-9)


@by_name(FISHEYES)
def test_fisheye_projection_is_that_of_opencv(model: CameraModel) -> None:
    k, d, r = matrices(model)
    xyz = points(widest=3.0)
    there, _ = cv2.Rodrigues(r.T)
    expected, _ = cv2.fisheye.projectPoints(xyz[:, None], there, np.zeros(3), k, d)
    # OpenCV knows only what is in front of the lens.
    front = (xyz @ r)[:, 2] > 0
    np.testing.assert_allclose(model.project(xyz)[front], expected[front, 0], atol=1e-9)


@by_name(PINHOLES)
def test_undistorted_pinhole_points_are_those_of_opencv(model: CameraModel) -> None:
    k, d, r = matrices(model)
    uv = 0.6 * pixels() + 0.2 * np.array(SIZE)  # where OpenCV's own iteration converges
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 1000, 1e-14)
    undistort = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)  # OpenCV 4, 5
    expected = undistort(uv[:, None], k, d, R=r, P=np.eye(3), criteria=until)[:, 0]
    np.testing.assert_allclose(model.undistort(uv), expected, atol=1e-9)


@by_name(FISHEYES)
def test_undistorted_fisheye_points_are_those_of_opencv(model: CameraModel) -> None:
    k, d, r = matrices(model)
    uv = pixels()
    expected = cv2.fisheye.undistortPoints(uv[:, None], k, d, R=r)[:, 0]
    given = model.undistort(uv)
    inside = np.abs(given).max(axis=1) < 5  # 79 degrees: beyond, OpenCV loses digits
    assert inside.sum() > 150
    np.testing.assert_allclose(given[inside], expected[inside], atol=1e-8)


# --- round trips


@by_name(ALL)
def test_a_pixels_ray_projects_back_onto_it_at_any_distance(model: CameraModel) -> None:
    uv = pixels()
    rays = model.rays(uv)
    known = np.isfinite(rays).all(axis=1)
    assert known.mean() > 0.9
    np.testing.assert_allclose(np.linalg.norm(rays[known], axis=1), 1.0, atol=1e-12)
    for distance in (0.1, 1.0, 25.0):
        np.testing.assert_allclose(model.project(distance * rays[known]), uv[known], atol=1e-6)


@by_name(ALL)
def test_a_projected_point_lies_on_its_pixels_ray(model: CameraModel) -> None:
    xyz = points()
    uv = model.project(xyz)
    known = np.isfinite(uv).all(axis=1)
    assert known.mean() > 0.9
    expected = xyz[known] / np.linalg.norm(xyz[known], axis=1, keepdims=True)
    np.testing.assert_allclose(model.rays(uv[known]), expected, atol=1e-9)


def test_a_fisheye_sees_behind_itself() -> None:
    model = FISHEYES["200 degrees"]
    angles = np.radians([0.0, 45.0, 89.99, 90.0, 100.0, 120.0])
    rays = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=1)
    k1, k2, k3, k4 = model.distortion
    squared = angles**2
    bent = angles * (1 + squared * (k1 + squared * (k2 + squared * (k3 + squared * k4))))
    uv = model.project(rays)
    np.testing.assert_allclose(uv[:, 0], model.cx + model.fx * bent, atol=1e-9)
    np.testing.assert_allclose(uv[:, 1], model.cy, atol=1e-9)
    np.testing.assert_allclose(model.rays(uv), rays, atol=1e-12)
    on_plane = np.isfinite(model.undistort(uv)).all(axis=1)
    np.testing.assert_array_equal(on_plane, angles < np.radians(90))


def test_the_centre_looks_along_the_axis() -> None:
    for model in (PINHOLES["webcam"], FISHEYES["200 degrees"]):
        centre = (model.cx, model.cy)
        np.testing.assert_array_equal(model.rays(centre), [0.0, 0.0, 1.0])
        np.testing.assert_array_equal(model.project([0.0, 0.0, 3.0]), centre)


def test_a_stereo_cameras_rays_are_turned_into_the_rectified_frame() -> None:
    turned = PINHOLES["stereo"]
    plain = replace(turned, rotation=None)
    np.testing.assert_allclose(turned.rays(pixels()), plain.rays(pixels()) @ TILT.T, atol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
def test_a_depth_images_points_lie_on_their_rays_at_that_depth_of_the_lens(turned: bool) -> None:
    turn = (0.8, 0.0, 0.6, 0.0, 1.0, 0.0, -0.6, 0.0, 0.8)
    model = CameraModel(640, 480, 500.0, 500.0, 320.0, 240.0, rotation=turn if turned else None)
    uv = np.array([[20.0, 30.0], [500.0, 400.0], [np.nan, 1.0]])
    depth = np.array([1.0, 2.0, 3.0])
    points = model.points(model.rays(uv), depth)
    np.testing.assert_allclose(model.project(points)[:2], uv[:2])
    lens = points @ np.array(turn).reshape(3, 3) if turned else points
    np.testing.assert_allclose(lens[:2, 2], depth[:2])
    assert np.isnan(points[2]).all()


def test_a_mirrored_image_gives_the_rays_of_the_real_scene() -> None:
    plain = PINHOLES["webcam"]
    mirrored = replace(plain, mirrored=True)
    uv = pixels()
    flipped = np.stack([SIZE[0] - 1 - uv[:, 0], uv[:, 1]], axis=1)
    np.testing.assert_allclose(mirrored.rays(flipped), plain.rays(uv), atol=1e-12)
    np.testing.assert_allclose(mirrored.project(plain.rays(uv)), flipped, atol=1e-6)


def test_any_leading_shape_is_kept() -> None:
    model = PINHOLES["webcam"]
    uv = pixels(12)
    np.testing.assert_array_equal(model.rays(uv.reshape(3, 4, 2)).reshape(12, 3), model.rays(uv))
    assert model.rays(np.empty((0, 2))).shape == (0, 3)
    assert model.project(np.empty((0, 3))).shape == (0, 2)
    assert model.rays(uv.astype(np.float32)).dtype == np.float64


# --- what has no answer


@by_name(ALL)
def test_nan_stays_nan_and_spoils_no_other_point(model: CameraModel) -> None:
    uv, xyz = pixels(6), points(6)
    rays, seen = model.rays(uv), model.project(xyz)
    uv[2, 0] = uv[4, 1] = xyz[1, 2] = xyz[3, 0] = np.nan
    lost_rays, lost_pixels = model.rays(uv), model.project(xyz)
    assert np.isnan(lost_rays[[2, 4]]).all()
    assert np.isnan(lost_pixels[[1, 3]]).all()
    assert np.isnan(model.undistort(uv)[[2, 4]]).all()
    np.testing.assert_array_equal(lost_rays[[0, 1, 3, 5]], rays[[0, 1, 3, 5]])
    np.testing.assert_array_equal(lost_pixels[[0, 2, 4, 5]], seen[[0, 2, 4, 5]])


def test_what_is_behind_a_pinhole_or_at_the_camera_itself_has_no_pixel() -> None:
    for model in (PINHOLES["no distortion"], PINHOLES["webcam"]):
        assert np.isnan(model.project([[0.1, 0.2, -1.0], [0.1, 0.2, 0.0], [0.0, 0.0, 0.0]])).all()
    for model in FISHEYES.values():
        assert np.isnan(model.project([[0.0, 0.0, 0.0]])).all()
    assert np.isnan(FISHEYES["ideal"].project([0.0, 0.0, -1.0])).all(), "a circle, not a pixel"


def test_a_point_outside_the_field_of_view_is_not_folded_into_the_image() -> None:
    model = camera("plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0))
    # r (1 - 0.3 r^2) rises up to r = sqrt(1 / 0.9) = 1.054; OpenCV puts r = 1.8 at the centre.
    uv = model.project([[1.05, 0.0, 1.0], [1.06, 0.0, 1.0], [1.8, 0.0, 1.0]])
    assert np.isfinite(uv[0]).all()
    assert np.isnan(uv[1:]).all()
    folded, _ = cv2.projectPoints(
        np.array([[[1.8, 0.0, 1.0]]]), np.zeros(3), np.zeros(3), *matrices(model)[:2]
    )
    assert 0 < folded[0, 0, 0] < SIZE[0], "what this test guards against"


def test_a_pixel_that_no_direction_reaches_has_no_ray() -> None:
    model = camera("plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0))
    farthest = model.cx + model.fx * np.sqrt(1 / 0.9) * (1 - 0.3 / 0.9)
    rays = model.rays([[farthest - 0.01, model.cy], [farthest + 0.01, model.cy]])
    assert np.isfinite(rays[0]).all()
    assert np.isnan(rays[1]).all()
    turn = camera("equidistant", fx=100.0, fy=100.0)  # the ideal lens sees 180 degrees to each side
    rays = turn.rays([[turn.cx + 314.1, turn.cy], [turn.cx + 314.2, turn.cy]])
    np.testing.assert_allclose(rays[0], [np.sin(3.141), 0.0, np.cos(3.141)], atol=1e-12)
    assert np.isnan(rays[1]).all()


# Lenses whose model ends at a known angle: name, model, coefficients, the point on the x axis (as
# x / z, or as an angle) up to which it holds.
ENDS = [
    ("barrel", "plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0), np.sqrt(1 / 0.9)),
    # 1 - 1.8 s + 0.6 s^2 has its first root there and rises again from its second, at r = 1.504.
    ("rises again", "plumb_bob", (-0.6, 0.12, 0.0, 0.0, 0.0), np.sqrt(1.5 - np.sqrt(7 / 12))),
    ("pole", "rational_polynomial", (0.0, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0), np.sqrt(2.0)),
    ("tangential", "plumb_bob", (0.0, 0.0, 0.0, -0.2, 0.0), 1 / 1.2),
    ("fisheye", "equidistant", (-0.2, 0.0, 0.0, 0.0), np.sqrt(1 / 0.6)),
]


@pytest.mark.parametrize(("name", "model", "distortion", "end"), ENDS, ids=[e[0] for e in ENDS])
def test_a_lens_model_holds_up_to_where_it_folds_and_no_farther(
    name: str, model: str, distortion: tuple[float, ...], end: float
) -> None:
    lens = camera(model, distortion)
    at = end * np.array([0.5, 0.9, 0.99, 1.01, 1.3, 1.75])
    if model == "equidistant":
        rays = np.stack([np.sin(at), np.zeros(6), np.cos(at)], axis=1)
    else:
        rays = np.stack([at, np.zeros(6), np.ones(6)], axis=1)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    uv = lens.project(rays)
    np.testing.assert_array_equal(np.isnan(uv[:, 0]), at > end)
    np.testing.assert_allclose(lens.rays(uv[:3]), rays[:3], atol=1e-9)


def test_tangential_distortion_reaches_farther_than_the_radial_part_alone() -> None:
    lens = camera("plumb_bob", (-0.3, 0.0, 0.0, 0.02, 0.0))
    x = np.linspace(0.9, 1.05, 20)
    xyz = np.stack([x, np.zeros(20), np.ones(20)], axis=1)
    uv = lens.project(xyz)
    assert ((uv[:, 0] - lens.cx) / lens.fx).max() > lens._profile.most + 0.05
    np.testing.assert_allclose(lens.undistort(uv), xyz[:, :2], atol=1e-9)


def test_the_slopes_behind_newtons_method_are_those_of_the_lens() -> None:
    lens = PINHOLES["strong tangential"]
    x, y = np.random.default_rng(5).uniform(-0.5, 0.5, (2, 20))
    step = 1e-6
    _, _, (xx, xy, yy) = lens._lens_and_slopes(x, y)
    right, left = lens._lens_and_slopes(x + step, y), lens._lens_and_slopes(x - step, y)
    below, above = lens._lens_and_slopes(x, y + step), lens._lens_and_slopes(x, y - step)
    np.testing.assert_allclose(xx, (right[0] - left[0]) / (2 * step), atol=1e-8)
    np.testing.assert_allclose(xy, (right[1] - left[1]) / (2 * step), atol=1e-8)
    np.testing.assert_allclose(xy, (below[0] - above[0]) / (2 * step), atol=1e-8)
    np.testing.assert_allclose(yy, (below[1] - above[1]) / (2 * step), atol=1e-8)


# --- what is refused

REFUSED = [
    ({"width": 0}, "expected an image size in px, got 0x720"),
    ({"fx": 0.0}, "expected positive focal lengths and a finite principal point, got fx 0"),
    ({"fy": -5.0}, "fy -5"),
    ({"fx": np.nan}, "fx nan"),
    ({"cx": np.inf}, "cx inf"),
    ({"distortion_model": "double_sphere"}, "'double_sphere' is not supported; supported are plu"),
    ({"distortion": (0.1, 0.2)}, r"plumb_bob takes 5 coefficients \(k1, k2, p1, p2, k3\) or none,"),
    (
        {"distortion_model": "equidistant", "distortion": (0.1,) * 5},
        "equidistant takes 4 coefficients .* got 5",
    ),
    ({"distortion": (0.1, np.nan, 0.0, 0.0, 0.0)}, "finite distortion coefficients"),
    ({"rotation": (1.0, 0.0, 0.0)}, "expected a rotation as nine numbers"),
    ({"rotation": (2.0, 0, 0, 0, 1, 0, 0, 0, 1)}, "expected a rotation as nine numbers"),
    ({"rotation": (-1.0, 0, 0, 0, 1, 0, 0, 0, 1)}, "expected a rotation as nine numbers"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_a_model_that_cannot_be_right_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(camera(), **change)


def test_points_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected points \(\.\.\., 2\), got \(4, 3\)"):
        camera().rays(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"expected points \(\.\.\., 3\), got \(4, 2\)"):
        camera().project(np.zeros((4, 2)))


# --- other sizes


@pytest.mark.parametrize("size", [(640, 360), (320, 180), (2560, 1440), (1280, 720)], ids=str)
@pytest.mark.parametrize("name", ["webcam", "fisheye 200 degrees"])
def test_a_binned_image_sees_the_same_scene(name: str, size: tuple[int, int]) -> None:
    full = ALL[name]
    scaled = full.scaled_to(*size)
    assert (scaled.width, scaled.height) == size
    factor = size[0] / SIZE[0]
    # Pixel edges map onto pixel edges; the centres are half a pixel inside.
    np.testing.assert_allclose(
        scaled.project(points(50)) + 0.5, factor * (full.project(points(50)) + 0.5), atol=1e-9
    )


@pytest.mark.parametrize(
    "size", [(640, 480), (640, 720), (853, 480), (0, 0), (2560, 720), (1280, 721)], ids=str
)
def test_an_image_that_may_be_cropped_or_stretched_is_refused(size: tuple[int, int]) -> None:
    said = f"calibrated for images of 1280x720 px, the image has {size[0]}x{size[1]}: not a whole"
    with pytest.raises(ValueError, match=said):
        camera().scaled_to(*size)


def test_equal_cameras_are_equal() -> None:
    assert camera("plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0)) == camera(
        "plumb_bob", [0.1, 0.0, 0.0, 0.0, 0.0]
    )
    assert len({camera(), camera(), camera(cx=1.0)}) == 2
