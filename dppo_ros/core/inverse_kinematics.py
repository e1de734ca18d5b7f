# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From an absolute tool goal to joint targets: one least-squares solve, and the gripper latch.

After the DPPO furniture environment (ankile/furniture-bench). Training and the robot use these
very functions: soft joint drives cover roughly 40 % of the remaining error in a control step of
0.1 s, so a goal acts as a carrot, not as a pose that is reached, and a policy expects just that.

NumPy only, vectorised over robots (n).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import FloatArray, rotation_vector_from_matrix

MAX_JOINT_STEP_RAD = 0.5
"""Largest joint displacement one solve may ask for; the drive covers about 40 % of it in 0.1 s.

The reference has no bound and throws the arm about when joints 5 and 7 line up; at this value the
speeds stay near the arm's 2.2 rad/s limit and ordinary motions are unchanged.
"""
GRIPPER_DEAD_BAND = 0.019
"""A gripper command changes the latch only beyond this magnitude."""


def differential_ik(
    jacobian: FloatArray,
    tool_position: FloatArray,
    base_from_tool: FloatArray,
    goal_position: FloatArray,
    base_from_goal: FloatArray,
) -> FloatArray:
    """Joint displacement (n, joints) in radians towards the goal, minimum norm.

    dq = J^+ [p* - p ; rotation_vector(R* R^T)]; no damping, null-space term or joint limits, as in
    the reference, but shortened as a whole where a joint would exceed ``MAX_JOINT_STEP_RAD``.
    """
    rotation_error = rotation_vector_from_matrix(
        base_from_goal @ np.swapaxes(base_from_tool, -1, -2)
    )
    error = np.concatenate([goal_position - tool_position, rotation_error], axis=-1)
    step = (np.linalg.pinv(jacobian) @ error[..., None])[..., 0]
    largest = np.abs(step).max(axis=-1, keepdims=True)
    return np.asarray(step * np.minimum(1.0, MAX_JOINT_STEP_RAD / np.maximum(largest, 1e-9)))


def latch_gripper(
    previous: NDArray[np.bool_], command: FloatArray, dead_band: float = GRIPPER_DEAD_BAND
) -> NDArray[np.bool_]:
    """New closed flags (n): positive commands close, negative open, small ones change nothing."""
    return np.where(np.abs(command) > dead_band, command > 0.0, previous)
