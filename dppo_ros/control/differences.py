# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Velocity, acceleration and jerk of a stream of samples, from the samples alone.

Divided differences over the last four samples: each is the mean of the derivative over that
stretch of time, so a motion inside its limits never shows a larger one, whatever the steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import rotation_vector_from_matrix

FloatArray = NDArray[np.float64]
Orders = tuple[FloatArray, FloatArray, FloatArray]


class Differences:
    """Derivatives of a vector that stood still before the first sample."""

    def __init__(self, value: FloatArray) -> None:
        """Start at a standstill."""
        self._value = value
        zero = np.zeros_like(value)
        self._velocity, self._acceleration = zero, zero
        self._steps = (0.0, 0.0)

    def preview(self, value: FloatArray, step_s: float) -> Orders:
        """Return velocity, acceleration and jerk as a further sample would make them."""
        velocity = (value - self._value) / step_s
        before, earlier = self._steps
        acceleration = (velocity - self._velocity) / (0.5 * (step_s + (before or step_s)))
        span = (step_s + (before or step_s) + (earlier or before or step_s)) / 3.0
        return velocity, acceleration, (acceleration - self._acceleration) / span

    def add(self, value: FloatArray, step_s: float) -> None:
        """Take a sample."""
        velocity, acceleration, _ = self.preview(value, step_s)
        self._value, self._velocity, self._acceleration = value, velocity, acceleration
        self._steps = (step_s, self._steps[0])


class ToolDifferences:
    """Derivatives of a pose that stood still before the first sample."""

    def __init__(self, position: FloatArray, base_from_tool: FloatArray) -> None:
        """Start at a standstill."""
        self._linear = Differences(position)
        self._rotation = base_from_tool
        self._turned = np.zeros(3)
        self._angular = Differences(self._turned)

    def preview(
        self, position: FloatArray, base_from_tool: FloatArray, step_s: float
    ) -> tuple[Orders, Orders]:
        """Return linear and angular velocity, acceleration and jerk for a further sample."""
        turned = self._turned + rotation_vector_from_matrix(base_from_tool @ self._rotation.T)
        return self._linear.preview(position, step_s), self._angular.preview(turned, step_s)

    def add(self, position: FloatArray, base_from_tool: FloatArray, step_s: float) -> None:
        """Take a sample."""
        # The sum of the small turns stands for an angle: its differences are the turning speeds.
        turned = self._turned + rotation_vector_from_matrix(base_from_tool @ self._rotation.T)
        self._linear.add(position, step_s)
        self._angular.add(turned, step_s)
        self._turned, self._rotation = turned, base_from_tool
