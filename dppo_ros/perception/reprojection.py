# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Least squares on tag corners: the pose of a carrier that all cameras agree on.

Six unknowns: a shift d and a turn w of the carrier about its own origin, both along the axes of
the common frame. A corner p of the carrier is at ``exp(w) R p + t + d``; its derivative by (d, w)
is ``[I, -[R p]x]``, which camera rotation and lens carry on to pixels. Residuals are divided by
the standard deviation of their corner, so ``(J^T J)^-1`` is the covariance of (d, w).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.lens import Lens, project
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import TagPlacement

_MAX_STEPS = 25
_MIN_DEPTH_M = 1e-3
_TINY = 1e-12
_GAIN_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class View:
    """Where a camera is and how it sees.

    Attributes:
        camera: Its name.
        lens: Its intrinsics.
        camera_from_frame: The common frame seen from its optical frame.
    """

    camera: str
    lens: Lens
    camera_from_frame: Rigid

    @cached_property
    def eye(self) -> FloatArray:
        """Return the place of the camera in the common frame, (3,) m."""
        return self.camera_from_frame.inverse().position


@dataclass(frozen=True, eq=False)
class Sighting:
    """One tag of a carrier in the picture of one camera.

    Attributes:
        view: The camera.
        placement: Where the tag sits on its carrier.
        detection: Where the camera saw it.
        sigma_px: Standard deviation of a corner coordinate (px).
    """

    view: View
    placement: TagPlacement
    detection: TagDetection
    sigma_px: float


@dataclass(frozen=True, eq=False)
class Solution:
    """A minimum of the squared reprojection error.

    Attributes:
        frame_from_carrier: The pose.
        chi2: Sum of squared residuals, each over its standard deviation.
        residuals_px: (n, 4, 2) px, one row for each sighting.
        information: (6, 6) J^T J, for shift (m) then turn (rad) along the axes of the frame.
    """

    frame_from_carrier: Rigid
    chi2: float
    residuals_px: FloatArray
    information: FloatArray


def solve(sightings: Sequence[Sighting], start: Rigid) -> Solution | None:
    """Return the minimum that Levenberg-Marquardt reaches from a start, None when there is none.

    Args:
        sightings: Tags of one carrier; at least one.
        start: First guess of frame_from_carrier.
    """
    corners = _stack(sightings)
    best = _evaluate(corners, start)
    if best is None:
        return None
    damping = 1e-6
    for _ in range(_MAX_STEPS):
        step = np.linalg.solve(
            best.normal + damping * np.diag(np.diag(best.normal)), -best.gradient
        )
        turn = cv2.Rodrigues(step[3:])[0]
        pose = Rigid(turn @ best.pose.rotation, best.pose.position + step[:3])
        moved = _evaluate(corners, pose)
        if moved is not None and moved.chi2 <= best.chi2:
            gain = best.chi2 - moved.chi2
            best = moved
            damping = max(damping * 0.1, 1e-12)
            if gain <= _GAIN_TOLERANCE * best.chi2 or best.chi2 < _TINY:
                break
        elif np.abs(step).max() < _TINY or damping > 1e9:
            break
        else:
            damping = max(damping * 10.0, 1e-6)
    residuals_px = (best.residual.reshape(-1, 2) / corners.weights).reshape(-1, 4, 2)
    return Solution(best.pose, best.chi2, residuals_px, best.normal)


def cost(sightings: Sequence[Sighting], pose: Rigid) -> float:
    """Return chi2 of a pose; infinite where a corner would be behind its camera."""
    evaluated = _evaluate(_stack(sightings), pose)
    return float("inf") if evaluated is None else evaluated.chi2


@dataclass(frozen=True, eq=False)
class _Corners:
    """Everything about n corners, of whatever tags and cameras."""

    points: FloatArray  # (n, 3) in the carrier
    pixels: FloatArray  # (n, 2)
    weights: FloatArray  # (n, 1) 1/px
    lenses: FloatArray  # (n, 9)
    camera_rotations: FloatArray  # (n, 3, 3) camera_from_frame
    camera_positions: FloatArray  # (n, 3)


@dataclass(frozen=True, eq=False)
class _Evaluation:
    pose: Rigid
    normal: FloatArray  # (6, 6) J^T J
    gradient: FloatArray  # (6,) J^T r
    residual: FloatArray  # (2n,) over its standard deviation
    chi2: float


def _stack(sightings: Sequence[Sighting]) -> _Corners:
    views = [s.view for s in sightings]
    return _Corners(
        np.concatenate([s.placement.corners_m for s in sightings]),
        np.concatenate([s.detection.corners_px for s in sightings]),
        np.repeat([1.0 / s.sigma_px for s in sightings], 4)[:, None],
        np.repeat([view.lens.row for view in views], 4, axis=0),
        np.repeat([view.camera_from_frame.rotation for view in views], 4, axis=0),
        np.repeat([view.camera_from_frame.position for view in views], 4, axis=0),
    )


def _evaluate(corners: _Corners, pose: Rigid) -> _Evaluation | None:
    turned = corners.points @ pose.rotation.T
    placed = (corners.camera_rotations @ (turned + pose.position)[..., None])[..., 0]
    in_camera = placed + corners.camera_positions
    if in_camera[:, 2].min() < _MIN_DEPTH_M:
        return None
    pixels, by_point = project(corners.lenses, in_camera)
    residual = ((pixels - corners.pixels) * corners.weights).ravel()
    jacobian = np.empty((len(turned), 2, 6))
    g = jacobian[..., :3]
    np.matmul(by_point, corners.camera_rotations, out=g)
    g *= corners.weights[..., None]
    # Row g of the lens times -[a]x is the cross product a x g.
    a0, a1, a2 = (turned[:, None, i] for i in range(3))
    jacobian[..., 3] = a1 * g[..., 2] - a2 * g[..., 1]
    jacobian[..., 4] = a2 * g[..., 0] - a0 * g[..., 2]
    jacobian[..., 5] = a0 * g[..., 1] - a1 * g[..., 0]
    rows = jacobian.reshape(-1, 6)
    return _Evaluation(pose, rows.T @ rows, residual @ rows, residual, float(residual @ residual))
