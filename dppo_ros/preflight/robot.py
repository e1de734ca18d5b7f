# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges joint names, order, limits, and the tool pose against the joints. No rclpy.

Order is no matter of taste: messages are read by name here, but a driver that labels its numbers
wrongly shows only when the tool is not where the joints say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros import messages
from dppo_ros.control.limits import Robot
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.rotations import matrix_from_quaternion, rotation_vector_from_matrix
from dppo_ros.preflight.snapshot import Sample, Snapshot
from dppo_ros.preflight.step import Step, judged

SECTION = "robot"
FAIR_M, POOR_M = 0.002, 0.010
FAIR_RAD, POOR_RAD = np.radians(0.5), np.radians(2.0)
MAX_GRIPPER_M = 0.0805
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class _Track:
    """Values of one JointState stream, merged over drivers that send arm and hand apart."""

    stamps_ns: NDArray[np.int64]
    positions: FloatArray
    velocities: FloatArray


def joint_steps(arm: Robot, seen: Snapshot) -> Iterator[Step]:
    """Yield what is wrong with the joint states, and one line that says what is right."""
    samples = seen.facts("joint_states").samples
    if not samples:
        return
    names = _all_names(samples)
    yield from _name_steps(arm, names)
    if not set(arm.joint_names) <= set(names):
        return
    track = _track(samples, arm.joint_names)
    finite = bool(np.isfinite(track.positions).all())
    yield judged(
        SECTION, "joint angles are numbers", finite, f"{len(track.positions)} messages",
        "finite radians", "restart the driver",
    )  # fmt: skip
    if not finite:
        return
    yield _range_step(arm, track.positions)
    yield _speed_step(arm, track)
    yield from _gripper_steps(arm, samples)


def _all_names(samples: Sequence[Sample]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for sample in samples:
        found.update(dict.fromkeys(sample.message.name))
    return tuple(found)


def _name_steps(arm: Robot, names: tuple[str, ...]) -> Iterator[Step]:
    missing = [name for name in arm.joint_names if name not in names]
    if missing:
        others = [name for name in names if "finger" not in name]
        yield Step(
            SECTION, "joint names", "fail", ", ".join(others) or "none",
            ", ".join(arm.joint_names),
            f"{', '.join(missing)} missing: set robot:=panda or robot:=fr3, or the arm prefix of "
            "the driver",
        )  # fmt: skip
        return
    order = [name for name in names if name in arm.joint_names]
    yield judged(
        SECTION, "joint names and order", tuple(order) == arm.joint_names, ", ".join(order),
        "base to hand", "nodes here go by name and are not disturbed; check what else reads this "
        "topic by place", "warn",
    )  # fmt: skip


def _range_step(arm: Robot, positions: FloatArray) -> Step:
    low, high = positions.min(axis=0), positions.max(axis=0)
    lower = np.array(arm.hardware_joints.position_min_rad)
    upper = np.array(arm.hardware_joints.position_max_rad)
    outside = [
        f"{name} {low[i]:.3f} to {high[i]:.3f}"
        for i, name in enumerate(arm.joint_names)
        if low[i] < lower[i] or high[i] > upper[i]
    ]
    margin = float(np.minimum(positions - lower, upper - positions).min())
    return judged(
        SECTION, "joint angles within limits", not outside,
        ", ".join(outside) or f"nearest limit {np.degrees(margin):.0f} deg away",
        f"the limits of the {arm.name}, rad",
        "wrong unit (degrees?), wrong order of the names, or the wrong robot type",
    )  # fmt: skip


def _speed_step(arm: Robot, track: _Track) -> Step:
    known = np.isfinite(track.velocities).all()
    peak = np.abs(track.velocities).max(axis=0) if known else np.zeros(len(arm.joint_names))
    share = float((peak / np.array(arm.hardware_joints.velocity_rad_s)).max())
    if not known:
        return Step(
            SECTION, "joint velocities", "warn", "not sent", "rad/s for every arm joint",
            "the tool velocity must then come from the topic tool_twist",
        )  # fmt: skip
    return judged(
        SECTION, "joint velocities", share <= 1.0, f"at most {share:.0%} of what the arm can do",
        "below the arm's limits", "wrong unit, or a differentiator that jumps",
    )  # fmt: skip


def _gripper_steps(arm: Robot, samples: Sequence[Sample]) -> Iterator[Step]:
    values = _last_values(samples)
    fingers = [values.get(name) for name in arm.finger_names]
    if any(value is None for value in fingers):
        yield Step(
            SECTION, "gripper opening", "fail", "finger joints are missing",
            ", ".join(arm.finger_names),
            "start the gripper driver, or merge its joint states into joint_states",
        )  # fmt: skip
        return
    width = sum(value for value in fingers if value is not None)
    yield judged(
        SECTION, "gripper opening", -1e-3 <= width <= MAX_GRIPPER_M, f"{width * 1e3:.1f} mm",
        f"0 to {MAX_GRIPPER_M * 1e3:.0f} mm, the sum of both fingers",
        "home the gripper; some drivers report the width at each finger",
    )  # fmt: skip


def _last_values(samples: Sequence[Sample]) -> dict[str, float]:
    values: dict[str, float] = {}
    for sample in samples:
        values.update(zip(sample.message.name, sample.message.position, strict=False))
    return values


def _track(samples: Sequence[Sample], names: Sequence[str]) -> _Track:
    """Return the arm's values of the messages that hold all of its joints."""
    stamps, positions, velocities = [], [], []
    for sample in samples:
        place = {name: index for index, name in enumerate(sample.message.name)}
        if not set(names) <= set(place):
            continue
        order = [place[name] for name in names]
        stamps.append(sample.stamp_ns or 0)
        positions.append([sample.message.position[i] for i in order])
        speeds = sample.message.velocity
        complete = len(speeds) == len(sample.message.name)
        velocities.append([speeds[i] if complete else np.nan for i in order])
    size = (-1, len(names))
    return _Track(
        np.array(stamps, dtype=np.int64),
        np.array(positions, dtype=np.float64).reshape(size),
        np.array(velocities, dtype=np.float64).reshape(size),
    )


def tool_steps(arm: Robot, seen: Snapshot) -> Iterator[Step]:
    """Yield whether the published tool pose is where the joints put the tool."""
    joints, poses = seen.facts("joint_states").samples, seen.facts("tool_pose").samples
    if not joints or not set(arm.joint_names) <= set(_all_names(joints)):
        return
    if not poses:
        yield Step(SECTION, "tool pose against joints", "ok", "not published; the joints decide")
        return
    track = _track(joints, arm.joint_names)
    errors = [error for sample in poses if (error := _tool_error(track, sample)) is not None]
    if not errors:
        yield Step(
            SECTION, "tool pose against joints", "warn", "no two of the same time",
            "stamps of one clock", "see the stamps above",
        )  # fmt: skip
        return
    distance_m, angle_rad = np.median(np.array(errors), axis=0)
    seen_text = f"{distance_m * 1e3:.2f} mm, {np.degrees(angle_rad):.2f} deg apart (median)"
    fair = distance_m <= FAIR_M and angle_rad <= FAIR_RAD
    poor = distance_m <= POOR_M and angle_rad <= POOR_RAD
    yield judged(
        SECTION, "tool pose against joints", bool(fair), seen_text,
        f"{FAIR_M * 1e3:g} mm, {np.degrees(FAIR_RAD):g} deg",
        "joint order, the tool frame of the driver (EE frame of Franka Desk against panda_tool in "
        "urdf/), or two clocks", "warn" if poor else "fail",
    )  # fmt: skip


def _tool_error(track: _Track, sample: Sample) -> tuple[float, float] | None:
    """Return distance (m) and angle (rad) between a pose and the joints at its stamp."""
    stamp_ns = sample.stamp_ns
    if stamp_ns is None or not len(track.stamps_ns):
        return None
    if not track.stamps_ns.min() <= stamp_ns <= track.stamps_ns.max():
        return None
    angles = [np.interp(stamp_ns, track.stamps_ns, column) for column in track.positions.T]
    values = messages.decode_pose(sample.message).values
    if not np.isfinite(values).all() or np.linalg.norm(values[3:]) < 0.5:
        return np.inf, np.inf
    position, base_from_tool = tool_pose(angles)
    turn = rotation_vector_from_matrix(base_from_tool.T @ matrix_from_quaternion(values[3:]))
    return float(np.linalg.norm(values[:3] - position)), float(np.linalg.norm(turn))
