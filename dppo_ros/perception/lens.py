# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera model: pinhole with the plumb_bob distortion of ``sensor_msgs/CameraInfo``.

A point (X, Y, Z) in the optical frame (x right, y down, z forward) has the normalised coordinates
x = X/Z, y = Y/Z. With r^2 = x^2 + y^2 the lens moves them to

    x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2)
    y' = y (1 + k1 r^2 + k2 r^4 + k3 r^6) + p1 (r^2 + 2 y^2) + 2 p2 x y

and the pixel is u = fx x' + cx, v = fy y' + cy, where pixel centres have integer coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray

MODEL = "plumb_bob"
_UNDISTORT_STEPS = 20


@dataclass(frozen=True)
class Lens:
    """Intrinsics of one camera.

    Attributes:
        width_px: Width of the picture.
        height_px: Height of the picture.
        fx_px: Focal length along u.
        fy_px: Focal length along v.
        cx_px: Principal point, u.
        cy_px: Principal point, v.
        distortion: k1, k2, p1, p2, k3; all zero for a rectified picture.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse what cannot be a camera.

        Raises:
            ConfigError: A value is not finite, or a size or focal length not positive.
        """
        numbers = (self.fx_px, self.fy_px, self.cx_px, self.cy_px, *self.distortion)
        positive = (self.width_px, self.height_px, self.fx_px, self.fy_px)
        if not np.isfinite(numbers).all() or min(positive) <= 0 or len(self.distortion) != 5:
            raise ConfigError(
                f"camera intrinsics {self} are not usable; sizes and focal lengths must be "
                "positive, everything finite, and the distortion k1, k2, p1, p2, k3"
            )

    @cached_property
    def row(self) -> FloatArray:
        """Return fx, fy, cx, cy, k1, k2, p1, p2, k3, (9,)."""
        return np.array([self.fx_px, self.fy_px, self.cx_px, self.cy_px, *self.distortion])

    def project(self, points: ArrayLike) -> FloatArray:
        """Return the pixels (..., 2) of points (..., 3) m in the optical frame."""
        return project(self.row, np.asarray(points, dtype=np.float64))[0]

    def jacobian(self, points: ArrayLike) -> FloatArray:
        """Return the derivative of the pixel by the point, (..., 2, 3), px/m."""
        return project(self.row, np.asarray(points, dtype=np.float64))[1]

    def normalise(self, pixels: ArrayLike) -> FloatArray:
        """Return the undistorted normalised coordinates (..., 2) of pixels (..., 2).

        Newton's method on the distortion; exact to rounding inside the picture of a usual lens.
        """
        value = np.asarray(pixels, dtype=np.float64)
        wanted = (value - (self.cx_px, self.cy_px)) / (self.fx_px, self.fy_px)
        if not any(self.distortion):
            return np.asarray(wanted)
        xy = wanted.copy()
        for _ in range(_UNDISTORT_STEPS):
            moved, jacobian = _distort(self.row[4:], xy)
            error = moved - wanted
            xy = xy - np.linalg.solve(jacobian, error[..., None])[..., 0]
            if np.abs(error).max() < 1e-14:
                break
        return np.asarray(xy)

    def differs_from(self, other: Lens, tolerance_px: float) -> bool:
        """Return whether a point seen anywhere in the picture moves by more than the tolerance."""
        if (self.width_px, self.height_px) != (other.width_px, other.height_px):
            return True
        grid = np.stack(
            np.meshgrid(np.linspace(0, self.width_px, 5), np.linspace(0, self.height_px, 5)), -1
        )
        rays = np.concatenate([self.normalise(grid), np.ones((5, 5, 1))], axis=-1)
        return bool(np.abs(other.project(rays) - grid).max() > tolerance_px)


def project(rows: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return pixels (..., 2) and their derivative by the point (..., 2, 3), px/m.

    Args:
        rows: (9,) or (..., 9) intrinsics as in ``Lens.row``: each point may have its own camera.
        points: (..., 3) m in the optical frame.
    """
    depth = points[..., 2:]
    xy = points[..., :2] / depth
    by_point = np.zeros((*xy.shape, 3))
    focal = rows[..., :2]
    if rows[..., 4:].any():
        xy_moved, by_xy = _distort(rows[..., 4:], xy)
        by_xy = by_xy * (focal / depth)[..., None]
        by_point[..., :2] = by_xy
        by_point[..., 2] = -(by_xy @ xy[..., None])[..., 0]
    else:
        xy_moved = xy
        scale = focal / depth
        by_point[..., 0, 0] = scale[..., 0]
        by_point[..., 1, 1] = scale[..., 1]
        by_point[..., 2] = -scale * xy
    return xy_moved * focal + rows[..., 2:4], by_point


def _distort(coefficients: FloatArray, xy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distorted coordinates (..., 2) and their derivative (..., 2, 2)."""
    k1, k2, p1, p2, k3 = (coefficients[..., i] for i in range(5))
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    xy2 = 2.0 * x * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = k1 + r2 * (2.0 * k2 + 3.0 * k3 * r2)  # d radial / d r^2
    moved = np.empty_like(xy)
    moved[..., 0] = x * radial + p1 * xy2 + p2 * (r2 + 2.0 * x * x)
    moved[..., 1] = y * radial + p1 * (r2 + 2.0 * y * y) + p2 * xy2
    jacobian = np.empty((*xy.shape, 2))
    jacobian[..., 0, 0] = radial + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
    jacobian[..., 1, 1] = radial + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
    jacobian[..., 0, 1] = jacobian[..., 1, 0] = xy2 * slope + 2.0 * p1 * x + 2.0 * p2 * y
    return moved, jacobian


def lens_from_camera_info(
    width_px: int, height_px: int, model: str, k: Sequence[float], d: Sequence[float]
) -> Lens:
    """Return the lens that the fields of a ``sensor_msgs/CameraInfo`` describe.

    Args:
        width_px: Width of the picture.
        height_px: Height of the picture.
        model: Distortion model; empty is fine where there is no distortion.
        k: Row-major 3 x 3 intrinsic matrix.
        d: Distortion coefficients, none, four or five.

    Raises:
        ConfigError: A model other than plumb_bob with distortion, or unusable numbers.
    """
    coefficients = [float(value) for value in d]
    if any(coefficients) and (model != MODEL or len(coefficients) not in (4, 5)):
        raise ConfigError(
            f"distortion model {model!r} with {len(coefficients)} coefficients is not supported; "
            f"use {MODEL!r} with 4 or 5, or publish rectified pictures"
        )
    if len(k) != 9 or k[1] != 0.0:
        raise ConfigError(f"intrinsic matrix {list(k)} must hold 9 numbers and no skew")
    padded = [*coefficients[:5], *[0.0] * (5 - len(coefficients[:5]))]
    return Lens(
        int(width_px), int(height_px), float(k[0]), float(k[4]), float(k[2]), float(k[5]),
        (padded[0], padded[1], padded[2], padded[3], padded[4]),
    )  # fmt: skip
