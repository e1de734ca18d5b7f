# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a calibrated camera is still where it was: base tags now against the calibration."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.perception.calibration import fit_base, mean_pose
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.pose_fit import FitOptions, PoseFit
from dppo_ros.perception.reprojection import View
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import BASE, TagLayout


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


class DriftMonitor:
    """Compares where a camera is with where it was calibrated."""

    def __init__(self, view: View, layout: TagLayout, limits: DriftLimits) -> None:
        """Start without frames.

        Args:
            view: The calibrated camera.
            layout: Where the base tags are.
            limits: How far it may have moved.
        """
        self._view = view
        self._layout = layout
        self._limits = limits
        self._fit = FitOptions(max_rms_px=3.0)
        self._poses: deque[Rigid] = deque(maxlen=limits.frames)

    def add(self, detections: Sequence[TagDetection]) -> None:
        """Take the tags of one frame; base tags that are hidden do not matter."""
        base = [d for d in detections if self._is_base(d)]
        if len(base) >= 2:
            fit = fit_base(
                self._view.camera, self._view.lens, self._layout, base, self._fit,
                self._view.camera_from_frame,
            )  # fmt: skip
            if isinstance(fit, PoseFit):
                self._poses.append(fit.frame_from_carrier.inverse())

    def drift(self) -> Drift | None:
        """Return the drift, None before enough frames have shown the base plate."""
        if len(self._poses) < self._limits.frames:
            return None
        saved = self._view.camera_from_frame.inverse()
        difference = saved.difference(mean_pose(list(self._poses)))
        shift = float(np.linalg.norm(difference[:3]))
        turn = float(np.linalg.norm(difference[3:]))
        limits = self._limits
        level = "ok"
        if shift > limits.refuse_m or turn > limits.refuse_rad:
            level = "refuse"
        elif shift > limits.warn_m or turn > limits.warn_rad:
            level = "warn"
        return Drift(shift, turn, level)

    def _is_base(self, detection: TagDetection) -> bool:
        placement = self._layout.by_id.get(detection.tag_id)
        return placement is not None and placement.carrier == BASE
