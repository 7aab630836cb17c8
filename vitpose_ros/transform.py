"""A rigid transform between two coordinate frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """Maps points of one frame to another: rotation @ point + translation_m.

    Attributes
    ----------
    rotation : (3, 3) float64, a proper rotation; NaN when the transform is unknown.
    translation_m : (3,) float64, the origin of the first frame in the second, metres; NaN when the
        transform is unknown.

    Raises
    ------
    ValueError : a shape or a number does not fit.
    """

    rotation: Array
    translation_m: Array

    def __post_init__(self) -> None:
        rotation = np.asarray(self.rotation, np.float64)
        translation = np.asarray(self.translation_m, np.float64)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise ValueError(
                "Transform: expected a rotation (3, 3) and a translation (3,), got "
                f"{rotation.shape} and {translation.shape}"
            )
        known = bool(np.isfinite(rotation).all() and np.isfinite(translation).all())
        if not known and not (np.isnan(rotation).all() and np.isnan(translation).all()):
            raise ValueError("Transform: expected finite numbers, or NaN in all of them")
        if known and not (
            np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0
        ):
            raise ValueError(f"Transform: expected a rotation matrix, got {rotation.tolist()}")
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation_m", translation)

    @classmethod
    def unknown(cls) -> Transform:
        """A transform that is not known: it maps every point to NaN."""
        return cls(np.full((3, 3), np.nan), np.full(3, np.nan))

    @classmethod
    def identity(cls) -> Transform:
        """From a frame to itself."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_quaternion(
        cls, xyzw: tuple[float, float, float, float], translation_m: npt.ArrayLike
    ) -> Transform:
        """From a quaternion of any length but 0, as in geometry_msgs/Transform.

        Raises
        ------
        ValueError : a number is not finite, or the quaternion is 0.
        """
        x, y, z, w = np.asarray(xyzw, np.float64)
        squared = x * x + y * y + z * z + w * w
        if not np.isfinite(squared) or squared < 1e-12:
            raise ValueError(f"Transform: expected a quaternion (x, y, z, w), got {tuple(xyzw)}")
        s = 2.0 / squared
        rotation = np.array(
            [
                [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
                [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
                [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
            ]
        )
        return cls(rotation, np.asarray(translation_m, np.float64))

    @property
    def known(self) -> bool:
        """Whether it maps points to anything but NaN."""
        return bool(np.isfinite(self.translation_m[0]))

    def points(self, xyz: npt.ArrayLike) -> Array:
        """(..., 3) points of the first frame in the second, metres."""
        return np.asarray(self.directions(xyz) + self.translation_m)

    def directions(self, xyz: npt.ArrayLike) -> Array:
        """(..., 3) directions of the first frame in the second: turned, not moved."""
        return np.asarray(np.asarray(xyz, np.float64) @ self.rotation.T)

    def inverse(self) -> Transform:
        """From the second frame to the first."""
        return Transform(self.rotation.T, -self.rotation.T @ self.translation_m)

    def after(self, first: Transform) -> Transform:
        """The transform that maps by `first`, then by this one."""
        return Transform(self.rotation @ first.rotation, self.points(first.translation_m))
