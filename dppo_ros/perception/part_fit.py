# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras that disagree a little: believe the one that knows more, and say how far they differ.

Cameras that are not triggered together see a moving part at different places, and no calibration
is exact. Then the corners of both do not fit one pose, although each camera is right by itself.
Refusing would lose every part that moves; averaging would belong to no time at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dppo_ros.perception.pose_fit import FitOptions, PoseFit, Refusal, fit_pose
from dppo_ros.perception.reprojection import Sighting
from dppo_ros.perception.rigid import Rigid

BY_CAMERA = "camera"
"""``PoseFit.decided_by`` of a pose that one of several cameras gave."""


def fit_part(
    sightings: Sequence[Sighting], options: FitOptions, prior: Rigid | None = None
) -> PoseFit | Refusal:
    """Return the pose of a part from all cameras, or from the best of those that nearly agree.

    Args:
        sightings: Its tags, in one or more cameras.
        options: When a fit is good enough.
        prior: Where it was just before.
    """
    joint = fit_pose(sightings, options, prior)
    if isinstance(joint, PoseFit) and not joint.rejected:
        return joint
    return _best_camera(sightings, options, prior) or joint


def _best_camera(
    sightings: Sequence[Sighting], options: FitOptions, prior: Rigid | None
) -> PoseFit | None:
    """The pose with the smallest covariance, if every camera has one and they nearly agree."""
    cameras = dict.fromkeys(sighting.view.camera for sighting in sightings)
    fits = []
    for camera in cameras:
        own = [sighting for sighting in sightings if sighting.view.camera == camera]
        fit = fit_pose(own, options, prior)
        if isinstance(fit, PoseFit) and not fit.rejected:
            fits.append(fit)
    if len(fits) < 2 or len(fits) < len(cameras):
        return None
    best = min(fits, key=lambda fit: float(np.trace(fit.covariance[:3, :3])))
    gaps = np.array([best.frame_from_carrier.difference(f.frame_from_carrier) for f in fits])
    shift = float(np.linalg.norm(gaps[:, :3], axis=1).max())
    turn = float(np.linalg.norm(gaps[:, 3:], axis=1).max())
    if shift > options.camera_gap_m or turn > options.camera_gap_rad:
        return None
    doubt = np.diag(np.repeat([shift**2, turn**2], 3)) / 3.0
    return replace(best, covariance=best.covariance + doubt, decided_by=BY_CAMERA)
