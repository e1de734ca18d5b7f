# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``lamp`` task without a simulator: parts, targets, phases.

Facts after FurnitureBench (clvrai/furniture-bench) and its fork (ankile/furniture-bench): the
start poses and pushes are the fork's, the tolerances those of both simulators. NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import LAMP_PARTS, OBSTACLE, base_pose_from_tag
from dppo_ros.core.rotations import rotation_x, rotation_z
from sim_training.envs.furniture.lamp import geometry as geo
from sim_training.envs.furniture.task import (
    CellStates,
    FurnitureTask,
    HeldPart,
    Pair,
    PushScale,
    Target,
    corner_gaps,
    is_joined,
    relative_pose,
    tag_pose,
)

BASE, BULB, HOOD = LAMP_PARTS
MAX_EPISODE_STEPS = 1000
BULB_REST_TILT_RAD = np.radians(8.3)
"""A lying bulb rests on its glass and on its shoulder, the glass end higher by this angle."""
_BULB_REST_HEIGHT_M = geo.GLASS_RADIUS_M - geo.GLASS_CENTRE_Y_M * np.sin(BULB_REST_TILT_RAD)

BULB_PAIR = Pair(BASE, BULB, (Target(np.array([0.0, geo.SEATED_Y_M, 0.0]), rotation_z(np.pi)),))
HOOD_PAIR = Pair(BASE, HOOD, (Target(np.array([0.0, geo.HOOD_Y_M, 0.0])),), requires=(0,))


def _phase(states: CellStates) -> NDArray[np.int8]:
    """Index of the stage that the present state belongs to, see ``LAMP.phase_names``."""
    poses, robot = states.tag_from_part, states.robot
    bulb_in_base, bulb_rotation = relative_pose(poses[BASE], poses[BULB])
    hood_in_base, _ = relative_pose(poses[BASE], poses[HOOD])
    bulb, base_from_bulb = base_pose_from_tag(poses[BULB])
    hood, base_from_hood = base_pose_from_tag(poses[HOOD])
    glass = bulb + geo.GLASS_CENTRE_Y_M * base_from_bulb[..., 1]
    tip = bulb_in_base + geo.PEG_TIP_Y_M * bulb_rotation[..., 1]
    gap_x, gap_y = corner_gaps(poses[BASE], poses[OBSTACLE], geo.BASE_HALF_WIDTH_M)
    closed = robot.gripper_width < 0.0655
    holds_glass = closed & (np.linalg.norm(robot.tool_position - glass, axis=-1) < 0.025)
    rim = hood + geo.HOOD_NARROW_Y_M * base_from_hood[..., 1]
    holds_hood = closed & (np.linalg.norm(robot.tool_position - rim, axis=-1) < 0.035)
    screwed = is_joined(BULB_PAIR, bulb_in_base, bulb_rotation)
    inserted = (np.hypot(tip[..., 0], tip[..., 2]) < 0.006) & (tip[..., 1] > geo.FLANGE_TOP_Y_M)
    over = np.hypot(hood_in_base[..., 0], hood_in_base[..., 2]) < 0.012
    over &= hood_in_base[..., 1] > geo.HOOD_Y_M - 0.03
    stages = [
        (gap_x < 0.010) & (gap_y < 0.010),
        holds_glass & (glass[..., 2] > 0.06),
        inserted & (bulb_rotation[..., 1, 1] < -0.9),
        screwed,
        screwed & holds_hood & (rim[..., 2] > 0.12),
        screwed & over,
    ]
    phase = np.zeros(np.shape(robot.gripper_width), dtype=np.int8)
    for index, reached in enumerate(stages, start=1):
        phase = np.where(reached, np.int8(index), phase)
    return phase


_STANDING = rotation_x(np.pi / 2)

LAMP = FurnitureTask(
    name="lamp",
    parts=LAMP_PARTS,
    nominal_poses={
        BASE: tag_pose((0.05, 0.14, -geo.BASE_BOTTOM_Y_M), _STANDING),
        BULB: tag_pose((-0.05, 0.235, -_BULB_REST_HEIGHT_M), rotation_x(-BULB_REST_TILT_RAD)),
        HOOD: tag_pose((-0.08, 0.13, -geo.HOOD_WIDE_Y_M), _STANDING),
        OBSTACLE: np.array([0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0]),
    },
    half_outlines={
        BASE: (geo.BASE_HALF_WIDTH_M, geo.BASE_HALF_WIDTH_M),
        BULB: (0.0285, 0.065),
        HOOD: (geo.HOOD_WIDE_RADIUS_M, geo.HOOD_WIDE_RADIUS_M),
    },
    part_limits_m=np.array([[-0.21, 0.07], [0.21, 0.37]]),
    pairs=(BULB_PAIR, HOOD_PAIR),
    max_episode_steps=MAX_EPISODE_STEPS,
    phase_names=(
        "start",
        "cornered",
        "bulb grasped",
        "bulb inserted",
        "bulb screwed",
        "hood grasped",
        "hood over",
        "assembled",
    ),
    phase_rule=_phase,
    push_scales={
        BASE: PushScale(8.0, 16.0),
        BULB: PushScale(15.0, 20.0),
        HOOD: PushScale(30.0, 60.0),
    },
    max_gripper_width_m=0.07,
    held=HeldPart(BULB, reach_m=0.03, until_step=MAX_EPISODE_STEPS // 2),
)
"""Base, bulb and hood; the bulb has to be screwed in before the hood counts."""
