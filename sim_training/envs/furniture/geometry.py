# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions of the ``one_leg`` cell: table, tray with threaded bosses, legs, obstacle, Panda.

Numbers measured on the published FurnitureBench meshes (clvrai/furniture-bench) and read from its
configuration; the shapes are rebuilt from primitives, no mesh is used. SI units. Part frames:
the tray's +y is its open side with the holes; the legs' threaded end is at -y.

Pure data, no simulator.
"""

from __future__ import annotations

import numpy as np

# Thread: a round wire on a helix, in the leg and in the bore alike.
THREAD_PITCH_M = 9.375e-3
THREAD_WIRE_RADIUS_M = 2.19e-3
THREAD_TURNS = 2
THREAD_START_ANGLE_RAD = np.pi / 2
LEG_THREAD_RADIUS_M = 0.010
LEG_THREAD_START_Y_M = -0.050
BORE_THREAD_RADIUS_M = 0.013125
BORE_THREAD_START_Y_M = -0.0094
SPHERES_PER_TURN = 12
CAPSULES_PER_TURN = 16

# Tray (square_table_top).
TRAY_HALF_WIDTH_M = 0.08125
TRAY_HALF_HEIGHT_M = 0.015625
TRAY_RIM_INNER_M = 0.075
TRAY_FLOOR_Y_M = -0.00944
BORE_RADIUS_M = 0.0125
BOSS_RADIUS_M = 0.01625
BORE_WALL_BOXES = 16
HOLE_OFFSET_M = 0.05625
TRAY_MASS_KG = 0.151
TRAY_COM_M = (0.0, -0.00552, 0.0)
TRAY_INERTIA = (4.58e-4, 8.90e-4, 4.58e-4)

HOLES_IN_TRAY = np.array(
    [[sx * HOLE_OFFSET_M, sz * HOLE_OFFSET_M] for sx in (-1.0, 1.0) for sz in (-1.0, 1.0)]
)
"""(4, 2) x and z of the hole centres in the tray frame (m)."""

SEATED_HEIGHT_M = 0.046875
"""y of the leg centre in the tray frame when screwed home."""

# Leg (square_table_leg).
LEG_HALF_WIDTH_M = 0.015
LEG_HALF_BODY_M = 0.03125
LEG_TIP_Y_M = -0.05625
PEG_RADIUS_M = 0.010
LEG_MASS_KG = 0.0231
LEG_COM_M = (0.0, -0.00675, 0.0)
LEG_INERTIA = (1.40e-5, 2.99e-6, 1.40e-5)

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
    radius_m: float, start_y_m: float, segments_per_turn: int, centre_xz: tuple[float, float]
) -> np.ndarray:
    """Centre line of a thread, (turns * segments + 1, 3) m in the part frame.

    The angle atan2(z, x) about the axis falls as y rises:
    ``y = start + pitch * (90 deg - angle) / 360 deg``, the same hand for leg and bore, so that
    turning the leg negatively about +y drives it in.
    """
    count = THREAD_TURNS * segments_per_turn + 1
    turn = np.arange(count) / segments_per_turn
    angle = THREAD_START_ANGLE_RAD - 2 * np.pi * turn
    return np.stack(
        [
            centre_xz[0] + radius_m * np.cos(angle),
            start_y_m + THREAD_PITCH_M * turn,
            centre_xz[1] + radius_m * np.sin(angle),
        ],
        axis=-1,
    )
