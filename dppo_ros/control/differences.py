# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Velocity, acceleration and jerk of a stream of samples, from the samples alone.

Divided differences over the last four samples: each is the mean of the derivative over that
stretch of time, so a motion inside its limits never shows a larger one, whatever the steps.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

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
        turned = self._turned + turn_between(self._rotation, base_from_tool)
        return self._linear.preview(position, step_s), self._angular.preview(turned, step_s)

    def add(self, position: FloatArray, base_from_tool: FloatArray, step_s: float) -> None:
        """Take a sample."""
        # The sum of the small turns stands for an angle: its differences are the turning speeds.
        turned = self._turned + turn_between(self._rotation, base_from_tool)
        self._linear.add(position, step_s)
        self._angular.add(turned, step_s)
        self._turned, self._rotation = turned, base_from_tool


def turn_between(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the rotation vector (3,) that takes one rotation to another less than pi away.

    In plain floats: this runs twice in every cycle of the setpoint stream.
    """
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = (second @ first.T).tolist()
    x, y, z = r21 - r12, r02 - r20, r10 - r01
    twice_sine = math.sqrt(x * x + y * y + z * z)
    angle = math.atan2(twice_sine, r00 + r11 + r22 - 1.0)
    scale = angle / twice_sine if twice_sine > 1e-9 else 0.5
    return np.array([scale * x, scale * y, scale * z])
