# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``round_table`` task without a simulator: parts, targets, phases.

Facts after FurnitureBench (clvrai/furniture-bench). NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import OBSTACLE, base_pose_from_tag
from dppo_ros.core.rotations import FloatArray, rotation_x, rotation_y, rotation_z
from sim_training.envs.furniture.geometry import FENCE_INNER_FRONT_M
from sim_training.envs.furniture.round_table import geometry as geo
from sim_training.envs.furniture.task import (
    POSITION_TOLERANCE_M,
    CellStates,
    FurnitureTask,
    Pair,
    PushScale,
    Target,
    is_joined,
    relative_pose,
    tag_pose,
)

TOP, LEG, BASE = PARTS = ("round_table_top", "round_table_leg", "round_table_base")

_LEG_PAIR = Pair(
    TOP,
    LEG,
    (
        Target(
            np.array([0.0, 0.0, geo.LEG_SEATED_Z_M]),
            rotation_z(geo.LEG_SEATED_YAW_RAD) @ rotation_x(np.pi / 2),
        ),
    ),
)
_BASE_PAIR = Pair(
    LEG,
    BASE,
    (
        Target(
            np.array([0.0, geo.BASE_SEATED_Y_M, 0.0]),
            rotation_y(np.pi / 2) @ rotation_x(-np.pi / 2),
        ),
    ),
)


def front_gap(tag_from_top: FloatArray, tag_from_fence: FloatArray) -> FloatArray:
    """Distance (n) of the top's rim to the fence's front inner face (m)."""
    fence = tag_from_fence[..., 1] - FENCE_INNER_FRONT_M
    return np.asarray(fence - tag_from_top[..., 1] - geo.TOP_RADIUS_M)


def _phase(states: CellStates) -> NDArray[np.int8]:
    """Index of the stage that the present state belongs to, see ``ROUND_TABLE.phase_names``."""
    poses, robot = states.tag_from_part, states.robot
    leg_position, leg_rotation = relative_pose(poses[TOP], poses[LEG])
    base_position, base_rotation = relative_pose(poses[LEG], poses[BASE])
    leg, base_from_leg = base_pose_from_tag(poses[LEG])
    base, _ = base_pose_from_tag(poses[BASE])
    upright = np.cos(np.radians(10.0))
    in_top = np.hypot(leg_position[..., 0], leg_position[..., 1]) < POSITION_TOLERANCE_M
    in_top &= leg_rotation[..., 2, 1] > upright
    seated = is_joined(_LEG_PAIR, leg_position, leg_rotation)
    in_cup = np.hypot(base_position[..., 0], base_position[..., 2]) < POSITION_TOLERANCE_M
    in_cup &= seated & (base_rotation[..., 1, 2] > upright)
    cup = leg + 0.03 * base_from_leg[..., :, 1]
    leg_held = _near(robot.tool_position, cup) & (np.abs(robot.gripper_width - 0.0425) < 0.006)
    base_held = _near(robot.tool_position, base) & (np.abs(robot.gripper_width - 0.047) < 0.006)
    stages = [
        front_gap(poses[TOP], poses[OBSTACLE]) < 0.008,
        leg_held & (leg[..., 2] > 0.06),
        in_top & (leg_position[..., 2] < geo.LEG_SEATED_Z_M + 0.0175),
        in_top & (leg_position[..., 2] < geo.LEG_SEATED_Z_M + 0.0055),
        seated,
        seated & base_held & (base[..., 2] > 0.06),
        in_cup & (base_position[..., 1] < geo.BASE_SEATED_Y_M + 0.0185),
        in_cup & (base_position[..., 1] < geo.BASE_SEATED_Y_M + 0.0055),
    ]
    phase = np.zeros(np.shape(robot.gripper_width), dtype=np.int8)
    for index, reached in enumerate(stages, start=1):
        phase = np.where(reached, np.int8(index), phase)
    return phase


def _near(first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(first - second, axis=-1) < 0.03)


ROUND_TABLE = FurnitureTask(
    name="round_table",
    parts=PARTS,
    nominal_poses={
        TOP: tag_pose((0.0, 0.205, geo.TOP_BOTTOM_Z_M), rotation_y(np.pi)),
        LEG: tag_pose((0.13, 0.10, -geo.CUP_RADIUS_M), np.eye(3)),
        BASE: tag_pose((-0.12, 0.12, geo.BASE_TIP_Z_M), rotation_x(np.pi)),
        OBSTACLE: np.array([0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0]),
    },
    # Of the base only the peg is low enough to meet anything.
    half_outlines={
        TOP: (geo.TOP_RADIUS_M, geo.TOP_RADIUS_M),
        LEG: (geo.CUP_RADIUS_M, 0.045625),
        BASE: (0.01, 0.01),
    },
    discs=frozenset({TOP, BASE}),
    part_limits_m=np.array([[-0.21, 0.07], [0.21, 0.37]]),
    pairs=(_LEG_PAIR, _BASE_PAIR),
    max_episode_steps=1000,
    phase_names=(
        "start",
        "pushed",
        "leg grasped",
        "leg inserted",
        "leg threaded",
        "leg assembled",
        "base grasped",
        "base inserted",
        "base threaded",
        "assembled",
    ),
    phase_rule=_phase,
    push_scales={TOP: PushScale(30.0, 60.0), LEG: PushScale(4.0, 4.0), BASE: PushScale(20.0, 10.0)},
)
"""The leg has to be screwed into the top, and the base into the leg."""
