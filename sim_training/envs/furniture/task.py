# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``one_leg`` task without a simulator: success, phases, start states, configuration.

Facts after FurnitureBench (clvrai/furniture-bench). Poses are (n, 7) tag-frame vectors, position
(m) and xyzw quaternion. Relative poses are leg in the tray frame, ``tray_from_leg``.

NumPy only, vectorised, so that every simulator shares one definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import (
    OBSTACLE,
    ONE_LEG_PARTS,
    base_pose_from_tag,
)
from dppo_ros.core.rotations import (
    FloatArray,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotation_x,
    rotation_y,
    rotation_z,
)
from sim_training.envs.furniture import geometry as geo

CONTROL_RATE_HZ = 10.0
MAX_EPISODE_STEPS = 700
POSITION_TOLERANCE_M = 0.005
AXIS_COSINE_TOLERANCE = 0.94

PHASE_NAMES = ("start", "cornered", "grasped", "upright", "inserted", "threaded", "assembled")
"""Furthest stage reached; index 0 is the start state, the last is success."""
ASSEMBLED = len(PHASE_NAMES) - 1


@dataclass(frozen=True)
class OneLegConfig:
    """Settings of the ``one_leg`` environment.

    Attributes:
        name: selects this environment.
        randomness: start-state level, see ``START_RANGES``.
        max_episode_steps: control steps (10 Hz) until truncation.
        terminate_on_success: end the episode when assembled; the reference runs on to the limit.
    """

    name: Literal["one_leg"] = "one_leg"
    randomness: Literal["low", "med"] = "low"
    max_episode_steps: int = MAX_EPISODE_STEPS
    terminate_on_success: bool = True

    def __post_init__(self) -> None:
        if self.randomness not in START_RANGES:
            raise ConfigError(
                f"randomness '{self.randomness}' is unknown; choose {', '.join(START_RANGES)}"
            )
        if self.max_episode_steps < 1:
            raise ConfigError(f"max_episode_steps = {self.max_episode_steps}, must be at least 1")


@dataclass(frozen=True)
class StartRange:
    """Half-widths of the uniform start distribution of one randomness level."""

    part_xy_m: float
    part_yaw_rad: float
    obstacle_xy_m: float
    joint_rad: float


START_RANGES = {
    "low": StartRange(0.015, np.radians(15.0), 0.02, np.radians(5.0)),
    "med": StartRange(0.050, np.radians(45.0), 0.04, np.radians(10.0)),
}


@dataclass(frozen=True)
class StartState:
    """One sampled start: arm joints (7,) rad and the tag-frame pose (7,) of every object."""

    arm_joints: FloatArray
    tag_from_part: Mapping[str, FloatArray]


def _pose(position: tuple[float, float, float], rotation: FloatArray) -> FloatArray:
    return np.concatenate([position, quaternion_from_matrix(rotation)])


_LEG_X_M = (-0.20, -0.12, 0.12, 0.20)
NOMINAL_POSES: dict[str, FloatArray] = {
    "top": _pose((0.0, 0.24, -0.015625), rotation_z(np.pi) @ rotation_x(-np.pi / 2)),
    **{
        f"leg{i + 1}": _pose((x, 0.07, -0.015), rotation_y(-np.pi / 2))
        for i, x in enumerate(_LEG_X_M)
    },
    OBSTACLE: np.array([0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0]),
}

# Reset-time overlap test: half sizes along tag x and y at yaw 0, margin as in the reference.
_MARGIN_M = 0.01
_PART_LIMITS_M = np.array([[-0.24, 0.03], [0.24, 0.37]])
_HALF_SIZES = {"top": (0.08125, 0.08125), **{f"leg{i}": (0.015, 0.04375) for i in range(1, 5)}}


def sample_start(randomness: str, seed: int) -> StartState:
    """Start state of one episode; the same seed always gives the same state.

    Per part a uniform xy offset and yaw about the vertical, resampled until the parts overlap
    neither each other nor the fence (10 mm margin, bounding boxes of the turned outlines); the
    fence and every arm joint get uniform offsets. Half-widths: ``START_RANGES``.

    Raises:
        ConfigError: unknown randomness level.
    """
    if randomness not in START_RANGES:
        raise ConfigError(f"randomness '{randomness}' is unknown; choose {', '.join(START_RANGES)}")
    level = START_RANGES[randomness]
    rng = np.random.default_rng(np.random.SeedSequence([seed & 0xFFFFFFFF, seed >> 32]))
    joints = geo.RESET_JOINTS_RAD + rng.uniform(-level.joint_rad, level.joint_rad, 7)
    obstacle = NOMINAL_POSES[OBSTACLE].copy()
    obstacle[:2] += rng.uniform(-level.obstacle_xy_m, level.obstacle_xy_m, 2)
    while True:
        offsets = rng.uniform(-level.part_xy_m, level.part_xy_m, (len(ONE_LEG_PARTS), 2))
        yaws = rng.uniform(-level.part_yaw_rad, level.part_yaw_rad, len(ONE_LEG_PARTS))
        if _is_free(offsets, yaws, obstacle):
            break
    poses = {
        name: _offset_pose(NOMINAL_POSES[name], offset, yaw)
        for name, offset, yaw in zip(ONE_LEG_PARTS, offsets, yaws, strict=True)
    }
    return StartState(joints, {**poses, OBSTACLE: obstacle})


def _offset_pose(nominal: FloatArray, offset_xy: FloatArray, yaw: float) -> FloatArray:
    # Tag z points down, so a positive yaw seen from above is a negative tag rotation; the range
    # is symmetric and the sign is kept as in the reference.
    pose = nominal.copy()
    pose[:2] += offset_xy
    turned = rotation_z(yaw) @ matrix_from_quaternion(nominal[3:])
    pose[3:] = quaternion_from_matrix(turned)
    return pose


def _is_free(offsets: FloatArray, yaws: FloatArray, obstacle: FloatArray) -> bool:
    """True if no two outlines (axis-aligned bounds plus margin) overlap and all are in limits."""
    boxes = []
    for name, offset, yaw in zip(ONE_LEG_PARTS, offsets, yaws, strict=True):
        half = np.array(_HALF_SIZES[name])
        cosine, sine = abs(np.cos(yaw)), abs(np.sin(yaw))
        bound = np.array([cosine * half[0] + sine * half[1], sine * half[0] + cosine * half[1]])
        centre = NOMINAL_POSES[name][:2] + offset
        if np.any(centre < _PART_LIMITS_M[0]) or np.any(centre > _PART_LIMITS_M[1]):
            return False
        boxes.append((centre, bound))
    front = obstacle[:2]
    fence = [
        (front, np.array([0.175, 0.01])),
        (front + np.array([0.175, -0.075]), np.array([0.01, 0.085])),
        (front + np.array([-0.175, -0.075]), np.array([0.01, 0.085])),
    ]
    for index, (centre, bound) in enumerate(boxes):
        for other_centre, other_bound in boxes[index + 1 :] + fence:
            reach = bound + other_bound + _MARGIN_M
            if np.all(np.abs(centre - other_centre) < reach):
                return False
    return True


def tray_from_leg(
    tag_from_tray: FloatArray, tag_from_leg: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Leg position (n, 3) m and rotation (n, 3, 3) in the tray frame."""
    tray = matrix_from_quaternion(tag_from_tray[..., 3:])
    leg = matrix_from_quaternion(tag_from_leg[..., 3:])
    offset = tag_from_leg[..., :3] - tag_from_tray[..., :3]
    inverse = np.swapaxes(tray, -1, -2)
    return (inverse @ offset[..., None])[..., 0], inverse @ leg


def is_assembled(position: FloatArray, rotation: FloatArray) -> NDArray[np.bool_]:
    """Success flags (n) from the leg's pose in the tray frame.

    Any of the four holes counts; every position component within 5 mm and every axis within
    19.9 deg (cosine 0.94) of the target, hence screwed to the end.
    """
    lateral = np.abs(position[..., None, [0, 2]] - geo.HOLES_IN_TRAY)
    in_hole = np.any(np.all(lateral <= POSITION_TOLERANCE_M, axis=-1), axis=-1)
    seated = np.abs(position[..., 1] - geo.SEATED_HEIGHT_M) <= POSITION_TOLERANCE_M
    aligned = np.all(np.diagonal(rotation, axis1=-2, axis2=-1) >= AXIS_COSINE_TOLERANCE, axis=-1)
    return np.asarray(in_hole & seated & aligned)


def current_phase(
    tag_from_part: Mapping[str, FloatArray],
    tool_position: FloatArray,
    gripper_width: FloatArray,
) -> NDArray[np.int8]:
    """Index into ``PHASE_NAMES`` that describes the present state, (n).

    Judged from true poses only. Callers keep the maximum over an episode as its progress.
    """
    position, rotation = tray_from_leg(tag_from_part["top"], tag_from_part["leg4"])
    lateral = np.min(
        np.linalg.norm(position[..., None, [0, 2]] - geo.HOLES_IN_TRAY, axis=-1), axis=-1
    )
    leg_position, base_from_leg = base_pose_from_tag(tag_from_part["leg4"])
    standing = base_from_leg[..., 2, 1] > np.cos(np.radians(15.0))
    in_hole = (lateral < POSITION_TOLERANCE_M) & (rotation[..., 1, 1] > np.cos(np.radians(10.0)))
    held = (gripper_width > 0.026) & (gripper_width < 0.034)
    held &= np.linalg.norm(tool_position - leg_position, axis=-1) < 0.035
    gap_x, gap_y = corner_gaps(tag_from_part["top"], tag_from_part[OBSTACLE])
    stages = [
        (gap_x < 0.008) & (gap_y < 0.008),
        held & (leg_position[..., 2] > 0.05),
        held & standing & (leg_position[..., 2] > 0.08),
        in_hole & (position[..., 1] < 0.065),
        in_hole & (position[..., 1] < 0.0525),
        is_assembled(position, rotation),
    ]
    phase = np.zeros(np.shape(gripper_width), dtype=np.int8)
    for index, reached in enumerate(stages, start=1):
        phase = np.where(reached, np.int8(index), phase)
    return phase


def corner_gaps(
    tag_from_tray: FloatArray, tag_from_fence: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Distances (n) of the tray's outline to the fence's front and left inner faces (m)."""
    tray_position, base_from_tray = base_pose_from_tag(tag_from_tray)
    fence_position, _ = base_pose_from_tag(tag_from_fence)
    extent = geo.TRAY_HALF_WIDTH_M * (
        np.abs(base_from_tray[..., :2, 0]) + np.abs(base_from_tray[..., :2, 2])
    )
    front = fence_position[..., 0] - geo.FENCE_INNER_FRONT_M
    left = fence_position[..., 1] + geo.FENCE_INNER_SIDE_M
    return (
        front - tray_position[..., 0] - extent[..., 0],
        left - tray_position[..., 1] - extent[..., 1],
    )
