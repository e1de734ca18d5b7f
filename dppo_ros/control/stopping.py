# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A stop as a handful of points, for controllers that take trajectories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.control.paths import JointState, Path

FloatArray = NDArray[np.float64]

_POINTS = 4


@dataclass(frozen=True, eq=False)
class StopPoint:
    """A point of a stop.

    Attributes:
        time_s: Time after the setpoint that the stop begins at.
        position: (7,) rad.
        velocity: (7,) rad/s.
    """

    time_s: float
    position: FloatArray
    velocity: FloatArray


def stop_points(sent: JointState, stop: Path | None, begun_s: float) -> list[StopPoint]:
    """Return the present setpoint and the way to the standstill after it.

    Args:
        sent: The present setpoint.
        stop: The stop, None for a setpoint that stands.
        begun_s: How far the stop has been executed already.
    """
    points = [StopPoint(0.0, sent.position, sent.velocity)]
    left_s = 0.0 if stop is None else stop.duration_s - begun_s
    if stop is None or sent.is_at_rest() or left_s <= 1e-4:
        return [StopPoint(0.0, sent.position, np.zeros_like(sent.velocity))]
    for index in range(1, _POINTS + 1):
        time_s = left_s * index / _POINTS
        state = stop.at(begun_s + time_s)
        velocity = state.velocity if index < _POINTS else np.zeros_like(state.velocity)
        points.append(StopPoint(time_s, state.position, velocity))
    return points
