# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``one_leg`` task without a simulator: parts, target, phases.

Facts after FurnitureBench (clvrai/furniture-bench). NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import OBSTACLE, ONE_LEG_PARTS, base_pose_from_tag
from dppo_ros.core.rotations import rotation_x, rotation_y, rotation_z
from sim_training.envs.furniture.one_leg import geometry as geo
from sim_training.envs.furniture.task import (
    POSITION_TOLERANCE_M,
    CellStates,
    FurnitureTask,
    Pair,
    PushScale,
    Target,
    corner_gaps,
    relative_pose,
    tag_pose,
)

_LEGS = ONE_LEG_PARTS[1:]
_LEG_X_M = (-0.20, -0.12, 0.12, 0.20)


def _phase(states: CellStates) -> NDArray[np.int8]:
    """Index of the stage that the present state belongs to, see ``ONE_LEG.phase_names``."""
    poses, robot = states.tag_from_part, states.robot
    position, rotation = relative_pose(poses["top"], poses["leg4"])
    lateral = np.min(
        np.linalg.norm(position[..., None, [0, 2]] - geo.HOLES_IN_TRAY, axis=-1), axis=-1
    )
    leg_position, base_from_leg = base_pose_from_tag(poses["leg4"])
    standing = base_from_leg[..., 2, 1] > np.cos(np.radians(15.0))
    in_hole = (lateral < POSITION_TOLERANCE_M) & (rotation[..., 1, 1] > np.cos(np.radians(10.0)))
    held = (robot.gripper_width > 0.026) & (robot.gripper_width < 0.034)
    held &= np.linalg.norm(robot.tool_position - leg_position, axis=-1) < 0.035
    gap_x, gap_y = corner_gaps(poses["top"], poses[OBSTACLE], geo.TRAY_HALF_WIDTH_M)
    stages = [
        (gap_x < 0.008) & (gap_y < 0.008),
        held & (leg_position[..., 2] > 0.05),
        held & standing & (leg_position[..., 2] > 0.08),
        in_hole & (position[..., 1] < 0.065),
        in_hole & (position[..., 1] < 0.0525),
    ]
    phase = np.zeros(np.shape(robot.gripper_width), dtype=np.int8)
    for index, reached in enumerate(stages, start=1):
        phase = np.where(reached, np.int8(index), phase)
    return phase


ONE_LEG = FurnitureTask(
    name="one_leg",
    parts=ONE_LEG_PARTS,
    nominal_poses={
        "top": tag_pose((0.0, 0.24, -0.015625), rotation_z(np.pi) @ rotation_x(-np.pi / 2)),
        **{
            leg: tag_pose((x, 0.07, -0.015), rotation_y(-np.pi / 2))
            for leg, x in zip(_LEGS, _LEG_X_M, strict=True)
        },
        OBSTACLE: np.array([0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0]),
    },
    half_outlines={
        "top": (geo.TRAY_HALF_WIDTH_M, geo.TRAY_HALF_WIDTH_M),
        **dict.fromkeys(_LEGS, (0.015, 0.04375)),
    },
    part_limits_m=np.array([[-0.24, 0.03], [0.24, 0.37]]),
    pairs=(
        Pair(
            "top",
            "leg4",
            tuple(
                Target(np.array([x, geo.SEATED_HEIGHT_M, z]), np.eye(3))
                for x, z in geo.HOLES_IN_TRAY
            ),
        ),
    ),
    max_episode_steps=700,
    phase_names=("start", "cornered", "grasped", "upright", "inserted", "threaded", "assembled"),
    phase_rule=_phase,
    push_scales={"top": PushScale(25.0, 70.0), **dict.fromkeys(_LEGS, PushScale(1.0, 1.0))},
)
"""Five parts of the square table; leg 4 has to be screwed into any of the top's four holes."""
