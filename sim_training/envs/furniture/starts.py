# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start states of the furniture tasks: two documented distributions, each at two levels.

``uniform``: every part gets a uniform xy offset and yaw, resampled until nothing overlaps
(clvrai/furniture-bench). ``pushed``: parts stand at their nominal pose and get a random horizontal
push and vertical torque just before the first observation (ankile/furniture-bench, what DPPO
trains on). The fence and every arm joint get uniform offsets in both.

NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.observation import OBSTACLE
from dppo_ros.core.rotations import (
    FloatArray,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotation_z,
)
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.properties import NOMINAL, CellProperties, sample_properties
from sim_training.envs.furniture.randomisation import RandomisationConfig
from sim_training.envs.furniture.task import FurnitureTask

DISTRIBUTIONS = ("uniform", "pushed")
PUSH_DURATION_S = 1.0 / 120.0
"""How long a push lasts: one substep of the reference's simulator.

Whether its engine applies a force for one substep or for both is not documented; displacement
grows with the square of the duration, and one substep gives the small spread of the published
demonstrations.
"""
SETTLE_S = 1.0 / 60.0
"""Simulated time between the end of the pushes and the first observation."""


@dataclass(frozen=True)
class StartRange:
    """Half-widths of one randomness level.

    Attributes:
        part_xy_m, part_yaw_rad: uniform offset of each part (``uniform`` only).
        push_force_n, push_torque_nm: greatest push, times the part's scale (``pushed`` only).
        obstacle_xy_m: offset of the fence along each axis.
        joint_rad: offset of each arm joint.
    """

    part_xy_m: float
    part_yaw_rad: float
    push_force_n: float
    push_torque_nm: float
    obstacle_xy_m: float
    joint_rad: float


START_RANGES = {
    "low": StartRange(0.015, np.radians(15.0), 0.2, 0.007, 0.02, np.radians(5.0)),
    "med": StartRange(0.050, np.radians(45.0), 0.5, 0.010, 0.04, np.radians(10.0)),
}


@dataclass(frozen=True)
class StartState:
    """One sampled start.

    Attributes:
        arm_joints: (7,) rad.
        tag_from_part: per object the pose (7,), tag frame.
        wrenches: per pushed part (6,): force (N) and torque (Nm) about its centre of mass, base
            axes, applied for ``PUSH_DURATION_S``; then ``SETTLE_S`` pass.
        properties: friction, masses, gains and height of the robot in this episode.
    """

    arm_joints: FloatArray
    tag_from_part: Mapping[str, FloatArray]
    wrenches: Mapping[str, FloatArray] = field(default_factory=dict)
    properties: CellProperties = NOMINAL


def sample_start(
    task: FurnitureTask,
    randomness: str,
    seed: int,
    distribution: str = "uniform",
    randomisation: RandomisationConfig | None = None,
) -> StartState:
    """Start state of one episode; the same seed always gives the same state.

    Args:
        task: what is to be assembled.
        randomness: level, of ``START_RANGES``.
        seed: of the episode.
        distribution: of ``DISTRIBUTIONS``.
        randomisation: wider offsets of fence and joints, and physical properties; None: nominal.

    Raises:
        ConfigError: unknown randomness level or distribution.
    """
    if randomness not in START_RANGES:
        raise ConfigError(f"randomness '{randomness}' is unknown; choose {', '.join(START_RANGES)}")
    if distribution not in DISTRIBUTIONS:
        raise ConfigError(unknown_name_message("start distribution", distribution, DISTRIBUTIONS))
    values = (randomisation or RandomisationConfig()).resolved()
    level = START_RANGES[randomness]
    level = replace(
        level,
        obstacle_xy_m=level.obstacle_xy_m + values.obstacle_offset_m,
        joint_rad=level.joint_rad + values.joint_offset_rad,
    )
    properties = sample_properties(task.parts, values, seed)
    rng = np.random.default_rng(np.random.SeedSequence([seed & 0xFFFFFFFF, seed >> 32]))
    joints = geo.RESET_JOINTS_RAD + rng.uniform(-level.joint_rad, level.joint_rad, 7)
    obstacle = task.nominal_poses[OBSTACLE].copy()
    obstacle[:2] += rng.uniform(-level.obstacle_xy_m, level.obstacle_xy_m, 2)
    if distribution == "pushed":
        poses = {name: task.nominal_poses[name] for name in task.parts}
        wrenches = _pushes(task, level, rng)
        return StartState(joints, {**poses, OBSTACLE: obstacle}, wrenches, properties)
    poses = _scattered(task, level, obstacle, rng)
    return StartState(joints, {**poses, OBSTACLE: obstacle}, properties=properties)


def _pushes(
    task: FurnitureTask, level: StartRange, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Random wrench of each part: horizontal force in any direction, vertical torque."""
    wrenches = {}
    for name in task.parts:
        scale = task.push_scales[name]
        direction = rng.uniform(-np.pi, np.pi)
        force = rng.uniform(0.0, level.push_force_n * scale.force)
        torque = rng.uniform(-1.0, 1.0) * level.push_torque_nm * scale.torque
        wrenches[name] = np.array(
            [force * np.cos(direction), force * np.sin(direction), 0.0, 0.0, 0.0, torque]
        )
    return wrenches


_MARGIN_M = 0.01
"""Distance that outlines must keep at the start, as in the reference."""


def _scattered(
    task: FurnitureTask, level: StartRange, obstacle: FloatArray, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Poses of the parts with uniform offsets, resampled until nothing overlaps."""
    while True:
        offsets = rng.uniform(-level.part_xy_m, level.part_xy_m, (len(task.parts), 2))
        yaws = rng.uniform(-level.part_yaw_rad, level.part_yaw_rad, len(task.parts))
        if _is_free(task, offsets, yaws, obstacle):
            return {
                name: _offset_pose(task.nominal_poses[name], offset, yaw)
                for name, offset, yaw in zip(task.parts, offsets, yaws, strict=True)
            }


def _offset_pose(nominal: FloatArray, offset_xy: FloatArray, yaw: float) -> FloatArray:
    # Tag z points down, so a positive yaw seen from above is a negative tag rotation; the range
    # is symmetric and the sign is kept as in the reference.
    pose = nominal.copy()
    pose[:2] += offset_xy
    turned = rotation_z(yaw) @ matrix_from_quaternion(nominal[3:])
    pose[3:] = quaternion_from_matrix(turned)
    return pose


@dataclass(frozen=True)
class _Outline:
    """A rectangle along the tag axes, widened by a radius all round (m)."""

    centre: FloatArray
    half: FloatArray
    radius: float = 0.0

    def overlaps(self, other: _Outline) -> bool:
        """True if the two come closer than the margin."""
        apart = np.abs(self.centre - other.centre) - self.half - other.half
        reach = self.radius + other.radius
        if reach == 0.0:
            return bool(np.all(apart < _MARGIN_M))
        return bool(np.linalg.norm(np.maximum(apart, 0.0)) < reach + _MARGIN_M)


def _is_free(
    task: FurnitureTask, offsets: FloatArray, yaws: FloatArray, obstacle: FloatArray
) -> bool:
    """True if no two outlines (axis-aligned bounds or discs) overlap and all are in limits."""
    outlines = []
    for name, offset, yaw in zip(task.parts, offsets, yaws, strict=True):
        half = np.array(task.half_outlines[name])
        cosine, sine = abs(np.cos(yaw)), abs(np.sin(yaw))
        bound = np.array([cosine * half[0] + sine * half[1], sine * half[0] + cosine * half[1]])
        centre = task.nominal_poses[name][:2] + offset
        if np.any(centre < task.part_limits_m[0]) or np.any(centre > task.part_limits_m[1]):
            return False
        if name in task.discs:
            outlines.append(_Outline(centre, np.zeros(2), float(half[0])))
        else:
            outlines.append(_Outline(centre, bound))
    front = obstacle[:2]
    fence = [
        _Outline(front, np.array([0.175, 0.01])),
        _Outline(front + np.array([0.175, -0.075]), np.array([0.01, 0.085])),
        _Outline(front + np.array([-0.175, -0.075]), np.array([0.01, 0.085])),
    ]
    return not any(
        outline.overlaps(other)
        for index, outline in enumerate(outlines)
        for other in outlines[index + 1 :] + fence
    )
