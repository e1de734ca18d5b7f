# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Geometric Jacobian of the furniture tasks' arm from what a simulator knows.

The controller itself, one differential-IK solve and a gripper latch, is shared with the robot:
``dppo_ros.core.inverse_kinematics``. NumPy only, vectorised over simulations (n).
"""

from __future__ import annotations

import numpy as np

from dppo_ros.core.rotations import FloatArray


def geometric_jacobian(
    joint_anchors: FloatArray, joint_axes: FloatArray, tool_position: FloatArray
) -> FloatArray:
    """Jacobian (n, 6, joints) of the tool frame, linear rows first, base axes.

    Args:
        joint_anchors: (n, joints, 3) points on the joint axes (m).
        joint_axes: (n, joints, 3) unit axes.
        tool_position: (n, 3) m.
    """
    lever = tool_position[:, None, :] - joint_anchors
    ahead, behind = [1, 2, 0], [2, 0, 1]
    jacobian = np.empty((len(lever), 6, lever.shape[1]))
    # The cross product axis x lever by hand: np.cross takes three times as long on small arrays.
    linear = (
        joint_axes[..., ahead] * lever[..., behind] - joint_axes[..., behind] * lever[..., ahead]
    )
    jacobian[:, :3] = np.swapaxes(linear, -1, -2)
    jacobian[:, 3:] = np.swapaxes(joint_axes, -1, -2)
    return jacobian
