# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast and how hard a joint path moves the tool."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.control.limits import ToolLimits
from dppo_ros.control.paths import Path
from dppo_ros.core.kinematics import tool_twists

FloatArray = NDArray[np.float64]

_STEP_S = 0.004
_FEWEST = 8
_HORIZON_S = 0.25  # longer than any path is followed before the next target comes


def tool_excess(path: Path, limits: ToolLimits, step_s: float = _STEP_S) -> float:
    """Return the largest ratio of speed or acceleration on a path to its limit.

    Accelerations are differences of the tool's velocity from sample to sample.

    Args:
        path: The path.
        limits: Limits of the tool.
        step_s: Time between two samples, about.
    """
    if path.duration_s <= 0.0:
        return 0.0
    duration_s = min(path.duration_s, _HORIZON_S)
    samples = max(_FEWEST, round(duration_s / step_s))
    between_s = duration_s / samples
    states = [path.at(between_s * index) for index in range(samples + 1)]
    twists = tool_twists(
        np.array([state.position for state in states]),
        np.array([state.velocity for state in states]),
    )
    changes = np.diff(twists, axis=0) / between_s
    return max(
        _longest(twists[1:, :3]) / limits.linear_velocity_m_s,
        _longest(twists[1:, 3:]) / limits.angular_velocity_rad_s,
        _longest(changes[:, :3]) / limits.linear_acceleration_m_s2,
        _longest(changes[:, 3:]) / limits.angular_acceleration_rad_s2,
    )


def _longest(vectors: FloatArray) -> float:
    return float(np.sqrt((vectors * vectors).sum(axis=-1)).max())
