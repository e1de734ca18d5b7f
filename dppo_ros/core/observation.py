# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The furniture observation and action vectors, built the same way everywhere.

Simulation, training, the policy node and bag replay all call ``assemble_observation``; there is
no second place that knows the order of the numbers. Layout after the DPPO furniture wrapper
(irom-lab/dppo), with one deliberate change: part quaternions are canonicalised against a fixed
reference per part instead of forced to w >= 0, because the nominal pose of the table top has
w = 0 and would flip sign with noise.

Frames: ``base`` is the robot base (``panda_link0``: x forward, y left, z up). ``tag`` is the
base-tag plate on the table (x robot-left, y robot-forward, z down). The tool frame is the hand
frame shifted by 0.1034 m to the finger tips.

NumPy only: no rclpy, torch or mujoco.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.errors import ActionError, ObservationError
from dppo_ros.core.rotations import (
    FloatArray,
    canonicalise_quaternion,
    matrix_from_quaternion,
    matrix_from_rotation_6d,
    quaternion_from_matrix,
    rotation_6d_from_matrix,
)
from dppo_ros.core.spec import Field, VectorSpec

ONE_LEG_PARTS: tuple[str, ...] = ("top", "leg1", "leg2", "leg3", "leg4")
LAMP_PARTS: tuple[str, ...] = ("lamp_base", "lamp_bulb", "lamp_hood")
OBSTACLE = "obstacle"
POSE_SUFFIX = "_pose"

ROTATION_6D_NAMES = ("r00", "r01", "r02", "r10", "r11", "r12")
POSE_NAMES = ("x", "y", "z", "qx", "qy", "qz", "qw")

TAG_ORIGIN_IN_BASE = np.array([0.3015, 0.0, 0.0])
"""Base-tag origin in the robot base frame (m); the base stands on the table surface."""

BASE_FROM_TAG_ROTATION = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""Rz(90 deg) Rx(180 deg): tag x is robot-left, tag y robot-forward, tag z down."""

_HALF = np.sqrt(0.5)
REFERENCE_QUATERNIONS: dict[str, NDArray[np.float64]] = {
    "top": np.array([0.0, -_HALF, _HALF, 0.0]),
    # Clutter legs stay flat on the table with their axis along robot x.
    "leg1": np.array([0.0, -_HALF, 0.0, _HALF]),
    "leg2": np.array([0.0, -_HALF, 0.0, _HALF]),
    "leg3": np.array([0.0, -_HALF, 0.0, _HALF]),
    # Half-way between lying at its start pose and standing assembled in the tray.
    "leg4": np.array([0.0, -2.0, 1.0, 1.0]) / np.sqrt(6.0),
    # Base and hood stand, their y axes down.
    "lamp_base": np.array([_HALF, 0.0, 0.0, _HALF]),
    "lamp_hood": np.array([_HALF, 0.0, 0.0, _HALF]),
    # Between lying at its start pose and standing, at a yaw far from the one it ends up screwed in.
    "lamp_bulb": np.array([-0.290, -0.346, 0.346, 0.822]) / np.sqrt(0.999216),
    # The top stays flat; the leg's is half-way between lying and standing; the base stands.
    "round_table_top": np.array([0.0, 1.0, 0.0, 0.0]),
    "round_table_leg": np.array([-np.sin(np.pi / 8), 0.0, 0.0, np.cos(np.pi / 8)]),
    "round_table_base": np.array([1.0, 0.0, 0.0, 0.0]),
    OBSTACLE: np.array([1.0, 0.0, 0.0, 0.0]),
}
"""Per part, the tag-frame quaternion (xyzw) that decides which of q and -q is reported."""


@dataclass(frozen=True)
class RobotState:
    """Tool and gripper state in the base frame; every field may carry leading dimensions.

    Attributes:
        tool_position: (..., 3) m, base frame.
        base_from_tool: (..., 3, 3) tool rotation.
        tool_linear_velocity: (..., 3) m/s, base axes.
        tool_angular_velocity: (..., 3) rad/s, base axes.
        gripper_width: (...) m, sum of both finger joints.
    """

    tool_position: FloatArray
    base_from_tool: FloatArray
    tool_linear_velocity: FloatArray
    tool_angular_velocity: FloatArray
    gripper_width: FloatArray


def furniture_observation_spec(parts: Sequence[str] = ONE_LEG_PARTS) -> VectorSpec:
    """Layout of the furniture observation: 16 robot numbers, then 7 per part and the obstacle."""
    fields = [
        Field("tool_position", 3, "m", "base", ("x", "y", "z"), "tool tip position"),
        Field("tool_rotation_6d", 6, "1", "base", ROTATION_6D_NAMES, "first two rows of R"),
        Field("tool_linear_velocity", 3, "m/s", "base", ("x", "y", "z"), "tool tip velocity"),
        Field("tool_angular_velocity", 3, "rad/s", "base", ("x", "y", "z"), "tool rate"),
        Field("gripper_width", 1, "m", "tool", ("width",), "sum of both finger joints"),
    ]
    fields += [
        Field(name + POSE_SUFFIX, 7, "m,1", "tag", POSE_NAMES, f"pose of {name}, xyz + xyzw")
        for name in (*parts, OBSTACLE)
    ]
    return VectorSpec(tuple(fields))


def furniture_action_spec() -> VectorSpec:
    """Layout of the furniture action: absolute tool goal and gripper latch value."""
    return VectorSpec(
        (
            Field("tool_goal_position", 3, "m", "base", ("x", "y", "z"), "absolute tool goal"),
            Field("tool_goal_rotation_6d", 6, "1", "base", ROTATION_6D_NAMES, "first two rows"),
            Field("gripper", 1, "1", "tool", ("latch",), "negative opens, positive closes"),
        )
    )


def spec_parts(spec: VectorSpec) -> tuple[str, ...]:
    """Names of the tracked objects a spec wants, in order, the obstacle included."""
    return tuple(n[: -len(POSE_SUFFIX)] for n in spec.names if n.endswith(POSE_SUFFIX))


def assemble_observation(
    spec: VectorSpec, robot: RobotState, tag_from_part: Mapping[str, ArrayLike]
) -> NDArray[np.float32]:
    """Raw observation vectors (..., obs_dim) in the order of the spec.

    Args:
        spec: layout from ``furniture_observation_spec`` or from a policy bundle.
        robot: tool and gripper state, base frame.
        tag_from_part: per tracked object the pose (..., 7), position (m) and xyzw, tag frame.

    Raises:
        ObservationError: a tracked object is missing, has a wrong shape, or the spec asks for a
            field this builder does not know.
    """
    groups: dict[str, FloatArray] = {
        "tool_position": np.asarray(robot.tool_position),
        "tool_rotation_6d": rotation_6d_from_matrix(robot.base_from_tool),
        "tool_linear_velocity": np.asarray(robot.tool_linear_velocity),
        "tool_angular_velocity": np.asarray(robot.tool_angular_velocity),
        "gripper_width": np.asarray(robot.gripper_width)[..., None],
    }
    for name in spec_parts(spec):
        if name not in tag_from_part:
            raise ObservationError(
                f"no pose for '{name}'; poses given: {', '.join(sorted(tag_from_part)) or 'none'}; "
                f"the policy needs {', '.join(spec_parts(spec))}"
            )
        groups[name + POSE_SUFFIX] = canonical_pose(name, tag_from_part[name])
    columns = []
    for field in spec.fields:
        if field.name not in groups:
            raise ObservationError(
                f"observation field '{field.name}' is unknown; known: {', '.join(groups)}"
            )
        column = groups[field.name]
        if column.shape[-1] != field.size:
            raise ObservationError(
                f"observation field '{field.name}' has {column.shape[-1]} numbers, "
                f"expected {field.size}"
            )
        columns.append(column)
    return np.concatenate(columns, axis=-1).astype(np.float32)


def canonical_pose(name: str, pose: ArrayLike) -> FloatArray:
    """Pose (..., 7) whose quaternion sign follows the reference of the named object."""
    value = np.asarray(pose, dtype=np.float64)
    if value.shape[-1:] != (7,):
        raise ObservationError(f"pose of '{name}' has shape {value.shape}, expected (..., 7)")
    reference = REFERENCE_QUATERNIONS.get(name, np.array([0.0, 0.0, 0.0, 1.0]))
    return np.concatenate(
        [value[..., :3], canonicalise_quaternion(value[..., 3:], reference)], axis=-1
    )


def split_action(action: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Goal position (..., 3), goal rotation base_from_tool (..., 3, 3) and gripper value (...).

    Raises:
        ActionError: the last dimension is not 10.
    """
    value = np.asarray(action, dtype=np.float64)
    if value.shape[-1:] != (10,):
        raise ActionError(f"action has shape {value.shape}, expected (..., 10)")
    return value[..., :3], matrix_from_rotation_6d(value[..., 3:9]), value[..., 9]


def join_action(position: ArrayLike, base_from_tool: ArrayLike, gripper: ArrayLike) -> FloatArray:
    """Action vectors (..., 10): the inverse of ``split_action``."""
    return np.concatenate(
        [
            np.asarray(position, dtype=np.float64),
            rotation_6d_from_matrix(base_from_tool),
            np.asarray(gripper, dtype=np.float64)[..., None],
        ],
        axis=-1,
    )


def tag_pose_from_base(position: ArrayLike, base_from_part: ArrayLike) -> FloatArray:
    """Pose (..., 7) in the tag frame of a body given in the base frame."""
    offset = np.asarray(position, dtype=np.float64) - TAG_ORIGIN_IN_BASE
    tag_from_base = BASE_FROM_TAG_ROTATION.T
    quaternion = quaternion_from_matrix(tag_from_base @ np.asarray(base_from_part))
    return np.concatenate([offset @ tag_from_base.T, quaternion], axis=-1)


def base_pose_from_tag(pose: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Position (..., 3) and base_from_part (..., 3, 3) of a tag-frame pose (..., 7)."""
    value = np.asarray(pose, dtype=np.float64)
    position = value[..., :3] @ BASE_FROM_TAG_ROTATION.T + TAG_ORIGIN_IN_BASE
    return position, BASE_FROM_TAG_ROTATION @ matrix_from_quaternion(value[..., 3:])
