# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The factory calibration of a camera as the lens model of ``sensor_msgs/CameraInfo``.

The SDK knows several distortion models. Brown-Conrady is plumb_bob under another name. What it
calls modified and inverse Brown-Conrady are one formula in the SDK of today, with tangential terms
of the point that is already stretched; plumb_bob, linear in its coefficients, is fitted to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.perception.lens import Lens

FloatArray = NDArray[np.float64]
FITTED = ("modified_brown_conrady", "inverse_brown_conrady")
_LARGEST_ERROR_PX = 0.25
_SAMPLES = 25


def lens_from_intrinsics(
    size_px: tuple[int, int],
    focal_px: tuple[float, float],
    centre_px: tuple[float, float],
    model: str,
    coefficients: Sequence[float],
) -> Lens:
    """Return the lens that the SDK's intrinsics describe.

    Args:
        size_px: Width and height.
        focal_px: Focal lengths along u and v.
        centre_px: Principal point.
        model: Name of the SDK's distortion model, such as ``"brown_conrady"``.
        coefficients: Its five numbers.

    Raises:
        ConfigError: A fisheye model with distortion, or one that plumb_bob cannot follow.
    """
    values = [float(value) for value in coefficients]
    if len(values) != 5:
        raise ConfigError(f"distortion has {len(values)} coefficients; the SDK gives five")
    if model in FITTED and any(values):
        values = _fit(size_px, focal_px, centre_px, model, values)
    elif model not in ("none", "brown_conrady") and any(values):
        raise ConfigError(
            f"distortion model {model!r} is not supported; use a stream with one of: none, "
            f"brown_conrady, {', '.join(FITTED)}"
        )
    k1, k2, p1, p2, k3 = values
    return Lens(*size_px, *focal_px, *centre_px, (k1, k2, p1, p2, k3))


def _fit(
    size_px: tuple[int, int],
    focal_px: tuple[float, float],
    centre_px: tuple[float, float],
    model: str,
    values: list[float],
) -> list[float]:
    """Return plumb_bob coefficients that move points as the given model does."""
    u, v = np.meshgrid(np.linspace(0, size_px[0], _SAMPLES), np.linspace(0, size_px[1], _SAMPLES))
    x = (u.ravel() - centre_px[0]) / focal_px[0]
    y = (v.ravel() - centre_px[1]) / focal_px[1]
    straight = np.stack([x, y])
    distorted = _stretched_brown(straight, values)
    matrix = _terms(*straight)
    wanted = (distorted - straight).ravel()
    found, *_ = np.linalg.lstsq(matrix, wanted, rcond=None)
    error_px = float(np.abs(matrix @ found - wanted).max()) * max(focal_px)
    if error_px > _LARGEST_ERROR_PX:
        raise ConfigError(
            f"distortion {model} {values} differs from every plumb_bob lens by up to "
            f"{error_px:.2f} px (limit {_LARGEST_ERROR_PX} px); calibrate the camera anew or use "
            "rectified pictures"
        )
    return [float(value) for value in found]


def _stretched_brown(points: FloatArray, values: Sequence[float]) -> FloatArray:
    """Return the moved points, (2, n), with tangential terms of the stretched point."""
    k1, k2, p1, p2, k3 = values
    r2 = (points**2).sum(axis=0)
    x, y = points * (1.0 + r2 * (k1 + r2 * (k2 + r2 * k3)))
    moved_x = x + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    moved_y = y + 2.0 * p2 * x * y + p1 * (r2 + 2.0 * y * y)
    return np.stack([moved_x, moved_y])


def _terms(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the (2 n, 5) factors of k1, k2, p1, p2, k3 in plumb_bob's shift of x, then of y."""
    r2 = x * x + y * y
    along_x = np.stack([x * r2, x * r2**2, 2 * x * y, r2 + 2 * x * x, x * r2**3], axis=1)
    along_y = np.stack([y * r2, y * r2**2, r2 + 2 * y * y, 2 * x * y, y * r2**3], axis=1)
    return np.concatenate([along_x, along_y])
