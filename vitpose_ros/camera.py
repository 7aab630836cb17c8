"""A camera's geometry: from pixels to rays and back, for pinhole and fisheye lenses.

The formulas are OpenCV's (its calib3d and fisheye modules), which camera_info's distortion models
refer to. OpenCV itself is not used to invert them: its undistortPoints stops after five rounds
without a check, its fisheye.undistortPoints ends at 90 degrees from the axis, and its projectPoints
folds points from outside the field of view back into the image. Here, whatever the model cannot
map is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

PLUMB_BOB, RATIONAL_POLYNOMIAL, EQUIDISTANT = "plumb_bob", "rational_polynomial", "equidistant"

COEFFICIENTS: Mapping[str, tuple[str, ...]] = {
    PLUMB_BOB: ("k1", "k2", "p1", "p2", "k3"),
    RATIONAL_POLYNOMIAL: ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    EQUIDISTANT: ("k1", "k2", "k3", "k4"),
}
"""The distortion models and the order of their coefficients, as sensor_msgs/CameraInfo has them."""

_STEEPEST = 1000.0  # tangent of the largest angle that a distorted pinhole maps: 89.94 degrees
_TOLERANCE = 1e-12  # of a distorted point, in focal lengths
_BRACKET_ROUNDS = 100
_NEWTON_ROUNDS = 20


@dataclass(frozen=True)
class CameraModel:
    """The camera of one image.

    It describes the image that it comes with: a raw image has the lens's own focal lengths and
    distortion (camera_info's K and D), a rectified one those of the rectified view (P, without
    distortion).

    Attributes
    ----------
    width, height : size of the image, px.
    fx, fy, cx, cy : focal lengths and principal point, px; (0, 0) is the centre of the top left
        pixel.
    distortion_model : a key of COEFFICIENTS.
    distortion : its coefficients in the order of COEFFICIENTS; empty for a lens without distortion
        (in the equidistant model, for one that follows it exactly).
    rotation : row-major 3x3 rotation from the lens's own frame to the optical frame of rays and
        points; None where they are the same. A raw image of a stereo pair has camera_info's R.
    mirrored : whether the image is flipped left to right compared with the sensor's image, which
        the numbers above describe. Rays and points are those of the real scene.

    Raises
    ------
    ValueError : a number does not fit; the text says which, and what is accepted.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = PLUMB_BOB
    distortion: tuple[float, ...] = ()
    rotation: tuple[float, ...] | None = None
    mirrored: bool = False
    _profile: _Profile = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "distortion", tuple(self.distortion))  # so that it compares
        if self.width <= 0 or self.height <= 0:
            raise ValueError(
                f"CameraModel: expected an image size in px, got {self.width}x{self.height}"
            )
        focal, centre = (self.fx, self.fy), (self.cx, self.cy)
        if not all(map(math.isfinite, (*focal, *centre))) or min(focal) <= 0:
            raise ValueError(
                "CameraModel: expected positive focal lengths and a finite principal point, got "
                f"fx {self.fx:g}, fy {self.fy:g}, cx {self.cx:g}, cy {self.cy:g}"
            )
        names = COEFFICIENTS.get(self.distortion_model)
        if names is None:
            raise ValueError(
                f"CameraModel: distortion model {self.distortion_model!r} is not supported; "
                f"supported are {', '.join(COEFFICIENTS)}"
            )
        if len(self.distortion) not in (0, len(names)):
            raise ValueError(
                f"CameraModel: {self.distortion_model} takes {len(names)} coefficients "
                f"({', '.join(names)}) or none, got {len(self.distortion)}"
            )
        if not all(map(math.isfinite, self.distortion)):
            raise ValueError(
                f"CameraModel: expected finite distortion coefficients, got {self.distortion}"
            )
        if self.rotation is not None:
            _check_rotation(self.rotation)
        object.__setattr__(self, "_profile", _Profile.of(self.distortion_model, self.distortion))

    @property
    def k(self) -> Points:
        """(3, 3) camera matrix, px."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    # --- pixels to directions

    def rays(self, uv: npt.ArrayLike) -> Points:
        """The direction in which each pixel looks.

        Works beyond 90 degrees from the axis, where a fisheye lens sees behind itself.

        Parameters
        ----------
        uv : (..., 2) px.

        Returns
        -------
        (..., 3) float64 unit vectors in the optical frame; NaN where uv is NaN or the lens model
        has no such pixel.
        """
        x, y = self._distorted(uv)
        if self.distortion_model == EQUIDISTANT:
            radius = np.hypot(x, y)
            angle = self._profile.inverse(radius)
            # towards sin(angle) / radius on the axis, where both vanish
            side = np.divide(np.sin(angle), radius, out=np.ones_like(radius), where=radius > 0)
            lens = np.stack([x * side, y * side, np.cos(angle)], axis=-1)
        else:
            x, y = self._undistorted_pinhole(x, y)
            lens = np.stack([x, y, np.ones_like(x)], axis=-1)
        lens /= np.linalg.norm(lens, axis=-1, keepdims=True)
        return lens if self.rotation is None else lens @ self._rotation().T

    def undistort(self, uv: npt.ArrayLike) -> Points:
        """Points on the plane z = 1 of the optical frame, as cv2.undistortPoints gives them.

        Parameters
        ----------
        uv : (..., 2) px.

        Returns
        -------
        (..., 2) float64; NaN as in `rays`, and where a pixel looks 90 degrees or more away from
        the axis and so never meets that plane.
        """
        rays = self.rays(uv)
        depth = np.where(rays[..., 2:] > 1e-9, rays[..., 2:], np.nan)
        points: Points = rays[..., :2] / depth
        return points

    def points(self, rays: Points, depth: npt.ArrayLike) -> Points:
        """The points on rays at depths along the lens's axis, as depth images have them.

        Parameters
        ----------
        rays : (..., 3) of `rays`.
        depth : (...) in any unit.

        Returns
        -------
        (..., 3) float64 in the optical frame; NaN as in `undistort`.
        """
        along = rays[..., 2] if self.rotation is None else rays @ self._rotation()[:, 2]
        scale = np.asarray(depth, np.float64) / np.where(along > 1e-9, along, np.nan)
        points: Points = rays * scale[..., None]
        return points

    # --- points to pixels

    def project(self, xyz: npt.ArrayLike) -> Points:
        """The pixel at which each point is seen.

        Parameters
        ----------
        xyz : (..., 3) in the optical frame, in any unit.

        Returns
        -------
        (..., 2) float64, px, inside the image or outside it; NaN where xyz is NaN or outside the
        field of view that the lens model describes (for a pinhole, also behind the camera).
        """
        lens = _as_points(xyz, 3)
        if self.rotation is not None:
            lens = lens @ self._rotation()
        x, y, z = lens[..., 0], lens[..., 1], lens[..., 2]
        across = np.hypot(x, y)
        if self.distortion_model == EQUIDISTANT:
            angle = np.arctan2(across, z)
            # towards 1 / z in front of the lens; behind it, the axis has no one pixel
            stretch = np.full_like(across, np.nan)
            np.divide(self._profile(angle), across, out=stretch, where=across > 0)
            np.divide(1.0, z, out=stretch, where=(across == 0) & (z > 0))
            stretch[angle > self._profile.limit] = np.nan
            x, y = x * stretch, y * stretch
        else:
            depth = np.where(z > 0, z, np.nan)
            x, y = self._distort_pinhole(x / depth, y / depth)
        u, v = self.fx * x + self.cx, self.fy * y + self.cy
        if self.mirrored:
            u = self.width - 1 - u
        uv = np.stack([u, v], axis=-1)
        uv[np.isnan(uv).any(axis=-1)] = np.nan
        return uv

    # --- other image sizes

    def scaled_to(self, width: int, height: int) -> CameraModel:
        """The same camera for an image that was binned or enlarged by a whole number.

        Raises
        ------
        ValueError : the sizes are not a whole multiple of one another, the same in both axes. The
            image may then be cropped or stretched, and where its pixels look is not known.
        """
        own, other = (self.width, self.height), (width, height)
        for small, large in ((other, own), (own, other)):
            factor = large[0] // max(small[0], 1)
            if factor >= 1 and (small[0] * factor, small[1] * factor) == large:
                step = factor if large is own else 1 / factor
                return replace(self.binned(step, step), width=width, height=height)
        raise ValueError(
            f"the camera is calibrated for images of {self.width}x{self.height} px, the image has "
            f"{width}x{height}: not a whole multiple, the same in both axes, so it may be cropped "
            "or stretched"
        )

    def binned(self, x: float, y: float) -> CameraModel:
        """The camera of an image in which each pixel covers x by y pixels of this one."""
        return replace(
            self,
            width=int(self.width / x),
            height=int(self.height / y),
            fx=self.fx / x,
            fy=self.fy / y,
            cx=(self.cx + 0.5) / x - 0.5,  # the image's edge is at -0.5, half a pixel out
            cy=(self.cy + 0.5) / y - 0.5,
        )

    # --- the lens

    def _distorted(self, uv: npt.ArrayLike) -> tuple[Points, Points]:
        """Pixels in focal lengths from the principal point, in the sensor's own image."""
        pixels = _as_points(uv, 2)
        u, v = pixels[..., 0], pixels[..., 1]
        if self.mirrored:
            u = self.width - 1 - u
        return (u - self.cx) / self.fx, (v - self.cy) / self.fy

    def _rotation(self) -> Points:
        return np.array(self.rotation, np.float64).reshape(3, 3)

    def _tangential(self) -> tuple[float, float]:
        return (self.distortion[2], self.distortion[3]) if self.distortion else (0.0, 0.0)

    def _distort_pinhole(self, x: Points, y: Points) -> tuple[Points, Points]:
        if not any(self.distortion):
            return x, y
        squared = x * x + y * y
        inside = np.sqrt(squared) <= self._profile.limit
        with np.errstate(all="ignore"):  # outside, where the result is dropped
            xd, yd, (xx, xy, yy) = self._lens_and_slopes(x, y)
            unfolded = inside & (xx * yy - xy * xy > 0)
        return np.where(unfolded, xd, np.nan), np.where(unfolded, yd, np.nan)

    def _undistorted_pinhole(self, x: Points, y: Points) -> tuple[Points, Points]:
        if not any(self.distortion):
            return x, y
        # The radial part alone can be inverted safely; Newton's method then adds the rest.
        target = np.hypot(x, y)
        radius = self._profile.inverse(np.minimum(target, self._profile.most))
        shrink = np.divide(radius, target, out=np.ones_like(radius), where=target > 0)
        a, b = x * shrink, y * shrink
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON_ROUNDS):
                xd, yd, (xx, xy, yy) = self._lens_and_slopes(a, b)
                off_x, off_y = xd - x, yd - y
                determinant = xx * yy - xy * xy
                off = np.hypot(off_x, off_y)
                good = off <= _TOLERANCE * (1 + target)
                if (good | np.isnan(off)).all():
                    break
                a = np.where(good, a, a - (yy * off_x - xy * off_y) / determinant)
                b = np.where(good, b, b - (xx * off_y - xy * off_x) / determinant)
            good &= (determinant > 0) & (np.hypot(a, b) <= self._profile.limit)
        return np.where(good, a, np.nan), np.where(good, b, np.nan)

    def _lens_and_slopes(
        self, x: Points, y: Points
    ) -> tuple[Points, Points, tuple[Points, Points, Points]]:
        """Distorted points, and their derivatives dx/dx, dx/dy = dy/dx, dy/dy."""
        p1, p2 = self._tangential()
        squared = x * x + y * y
        factor, slope = self._profile.factor(squared)
        xd = x * factor + 2 * p1 * x * y + p2 * (squared + 2 * x * x)
        yd = y * factor + p1 * (squared + 2 * y * y) + 2 * p2 * x * y
        xx = factor + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
        xy = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
        yy = factor + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
        return xd, yd, (xx, xy, yy)


@dataclass(frozen=True)
class _Profile:
    """The radial part of a lens: f(t) = t N(t^2) / D(t^2), of t = tan(angle) for a pinhole and of
    the angle itself for the equidistant model.

    Attributes
    ----------
    numerator, denominator : coefficients of N and D, highest power first.
    limit : f rises from 0 to here; beyond, the model folds back and describes no lens.
    most : f(limit).
    """

    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    limit: float
    most: float

    @classmethod
    def of(cls, model: str, coefficients: tuple[float, ...]) -> _Profile:
        numerator, denominator, farthest = [1.0], [1.0], _STEEPEST
        if model == EQUIDISTANT:
            numerator, farthest = [*reversed(coefficients), 1.0], math.pi
        elif coefficients:
            k1, k2, _, _, k3, *rational = coefficients
            numerator, denominator = [k3, k2, k1, 1.0], [*reversed(rational), 1.0]
        # The slope of f has the sign of N D + 2 s (N' D - N D'), s = t^2.
        n, d = np.poly1d(numerator), np.poly1d(denominator)
        rising = n * d + np.poly1d([2.0, 0.0]) * (n.deriv() * d - n * d.deriv())
        ends = [math.sqrt(root) for part in (rising, d) for root in _positive_roots(part)]
        limit = (1 - 1e-9) * min([farthest, *ends])  # short of a pole, where f has no value
        free = cls(tuple(numerator), tuple(denominator), limit, math.inf)
        return replace(free, most=float(free(np.array(limit))))

    def factor(self, squared: Points) -> tuple[Points, Points]:
        """N / D and its derivative by t^2."""
        n, dn = _value_and_slope(self.numerator, squared)
        d, dd = _value_and_slope(self.denominator, squared)
        return n / d, (dn * d - n * dd) / (d * d)

    def __call__(self, t: Points) -> Points:
        return np.asarray(t * self.factor(t * t)[0])

    def inverse(self, values: Points) -> Points:
        """The t of each f(t), by Newton's method kept inside a bracket; NaN beyond the limit."""
        t = np.minimum(values, self.limit)
        low, high = np.zeros_like(t), np.full_like(t, self.limit)
        with np.errstate(all="ignore"):
            for _ in range(_BRACKET_ROUNDS):
                factor, slope = self.factor(t * t)
                off = t * factor - values
                low, high = np.where(off <= 0, t, low), np.where(off > 0, t, high)
                step = t - off / (factor + 2 * t * t * slope)
                following = np.where((step >= low) & (step <= high), step, (low + high) / 2)
                following = np.where(off == 0, t, following)
                settled = np.abs(following - t) <= 1e-14 * (1 + t)
                t = following
                if (settled | np.isnan(values)).all():
                    break
            close = np.abs(self(t) - values) <= _TOLERANCE * (1 + values)
        return np.where(close, t, np.nan)


def _value_and_slope(coefficients: tuple[float, ...], x: Points) -> tuple[Points, Points]:
    value, slope = np.full_like(x, coefficients[0]), np.zeros_like(x)
    for coefficient in coefficients[1:]:
        slope = slope * x + value
        value = value * x + coefficient
    return value, slope


def _positive_roots(polynomial: np.poly1d) -> list[float]:
    roots = polynomial.roots
    real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
    return [float(root) for root in real if root > 0]


def _as_points(values: npt.ArrayLike, size: int) -> Points:
    points = np.asarray(values, np.float64)
    if points.ndim == 0 or points.shape[-1] != size:
        raise ValueError(f"CameraModel: expected points (..., {size}), got {points.shape}")
    return points


def _check_rotation(rotation: tuple[float, ...]) -> None:
    matrix = np.array(rotation, np.float64)
    if matrix.shape == (9,) and np.isfinite(matrix).all():
        matrix = matrix.reshape(3, 3)
        if np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) and np.linalg.det(matrix) > 0:
            return
    raise ValueError(
        f"CameraModel: expected a rotation as nine numbers of a 3x3 matrix, got {rotation}"
    )
