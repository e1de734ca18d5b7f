# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a calibrated camera is still where it was: base tags now against the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.perception.calibration import mean_pose
from dppo_ros.perception.rigid import Rigid


@dataclass(frozen=True)
class Drift:
    """By how much a camera has moved since its calibration, averaged over the last frames.

    Attributes:
        shift_m: Distance.
        turn_rad: Angle.
        level: ``ok``, ``warn`` or ``refuse``.
    """

    shift_m: float
    turn_rad: float
    level: str


@dataclass(frozen=True)
class DriftLimits:
    """How far a camera may have moved.

    Attributes:
        warn_m: Distance from which on to warn.
        warn_rad: Angle from which on to warn.
        refuse_m: Distance from which on its pictures are not used.
        refuse_rad: The same for the angle.
        frames: Frames with base tags to average over.
    """

    warn_m: float = 0.004
    warn_rad: float = 0.005
    refuse_m: float = 0.015
    refuse_rad: float = 0.02
    frames: int = 10

    def __post_init__(self) -> None:
        """Refuse limits in the wrong order.

        Raises:
            ConfigError: A warning comes after the refusal, or there is nothing to average.
        """
        ordered = 0 < self.warn_m <= self.refuse_m and 0 < self.warn_rad <= self.refuse_rad
        if not ordered or self.frames < 1:
            raise ConfigError(f"{self}: limits must be positive, warnings before refusals")


def judge_drift(saved: Rigid, poses: Sequence[Rigid], limits: DriftLimits) -> Drift | None:
    """Return the drift of a camera, None before enough frames have shown the base plate.

    Args:
        saved: frame_from_camera of the calibration.
        poses: The same as each frame shows it, oldest first.
        limits: How far it may have moved.
    """
    if len(poses) < limits.frames:
        return None
    difference = saved.difference(mean_pose(poses[-limits.frames :]))
    shift = float(np.linalg.norm(difference[:3]))
    turn = float(np.linalg.norm(difference[3:]))
    level = "ok"
    if shift > limits.refuse_m or turn > limits.refuse_rad:
        level = "refuse"
    elif shift > limits.warn_m or turn > limits.warn_rad:
        level = "warn"
    return Drift(shift, turn, level)
