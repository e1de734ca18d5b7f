# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions of the cell that every furniture task shares: table, fence, Panda, friction.

Numbers after the FurnitureBench configuration (clvrai/furniture-bench). SI units. The parts of a
task are described beside the task, e.g. ``one_leg.geometry``.

Pure data, no simulator.
"""

from __future__ import annotations

import numpy as np

# Obstacle: U-shaped fence, open towards the robot; its frame is the front piece.
FENCE_HEIGHT_M = 0.03
FENCE_FRONT_HALF_M = (0.01, 0.175, 0.015)
FENCE_SIDE_HALF_M = (0.085, 0.01, 0.015)
FENCE_SIDE_OFFSET_M = (-0.075, 0.175)
FENCE_INNER_FRONT_M = 0.01
"""Distance from the fence frame back to its inner front face (robot -x)."""
FENCE_INNER_SIDE_M = 0.165
"""Distance from the fence frame to either inner side face (robot +-y)."""

TABLE_HALF_M = (0.65, 0.40, 0.015)
TABLE_CENTRE_M = (0.30, 0.0, -0.015)
FLOOR_Z_M = -0.415

# Robot.
ARM_JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
FINGER_JOINTS = ("panda_finger_joint1", "panda_finger_joint2")
TOOL_OFFSET_M = 0.103399
"""Tool frame along hand z: half a millimetre above the finger tips."""
MAX_GRIPPER_WIDTH_M = 0.065
GRIPPER_FORCE_N = 13.0
RESET_JOINTS_RAD = np.array(
    [-0.02630888, 0.3758795, 0.12485036, -2.1383357, -0.09431414, 2.49649072, 0.01921718]
)
JOINT_LOWER_RAD = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
JOINT_UPPER_RAD = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
JOINT_TORQUE_NM = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)
DRIVE_STIFFNESS = 1000.0
DRIVE_DAMPING = 200.0

# Friction: PhysX averages the coefficients of a pair, these are the averaged values.
PART_FRICTION = 0.125
FINGER_FRICTION = 0.575


def helix_points(
    radius_m: float,
    start_y_m: float,
    pitch_m: float,
    turns: float,
    segments_per_turn: int,
    centre_xz: tuple[float, float] = (0.0, 0.0),
    start_angle_rad: float = np.pi / 2,
) -> np.ndarray:
    """Centre line of a thread about the y axis, (turns * segments + 1, 3) m in the part frame.

    The angle atan2(z, x) about the axis falls as y rises:
    ``y = start + pitch * (start angle - angle) / 360 deg``, so that
    turning the male part negatively about +y drives it towards -y.
    """
    count = round(turns * segments_per_turn) + 1
    turn = np.arange(count) / segments_per_turn
    angle = start_angle_rad - 2 * np.pi * turn
    return np.stack(
        [
            centre_xz[0] + radius_m * np.cos(angle),
            start_y_m + pitch_m * turn,
            centre_xz[1] + radius_m * np.sin(angle),
        ],
        axis=-1,
    )
