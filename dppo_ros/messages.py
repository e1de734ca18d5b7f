# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Standard ROS messages <-> plain values, the only place that knows their fields.

Decoders take any object with the fields of the message, so rclpy messages in a live node and
``rosbags`` messages in a replay go through the same code. Encoders import the message classes
when called: importing this module needs no ROS. Stamps are integer nanoseconds throughout.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.errors import ActionError, ConfigError, ObservationError

FloatArray = NDArray[np.float64]
RosObject: TypeAlias = Any
"""A message, service part or ROS handle; ROS classes carry no type information."""
NS = 1_000_000_000
FINGER_SUFFIXES = ("_finger_joint1", "_finger_joint2")
LEVELS = {"ok": 0, "warn": 1, "error": 2, "stale": 3}


@dataclass(frozen=True)
class Stamped:
    """Numbers measured at one time in one frame.

    Attributes:
        stamp_ns: Time of validity (ns).
        frame: frame_id of the header.
        values: (D,) numbers.
    """

    stamp_ns: int
    frame: str
    values: FloatArray


@dataclass(frozen=True)
class ChunkMessage:
    """A decoded action chunk.

    Attributes:
        stamp_ns: Time of action 0 (ns).
        names: Component names of an action.
        actions: (n, action_dim) raw actions.
        period_ns: Time between actions (ns), 0 for a single action.
    """

    stamp_ns: int
    names: tuple[str, ...]
    actions: FloatArray
    period_ns: int


def message_class(name: str) -> RosObject:
    """Return the message class of a name such as ``geometry_msgs/msg/PoseStamped``.

    Raises:
        ConfigError: The message package is not installed or has no such message.
    """
    package, kind, message = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), message)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"message type {name} is not available ({error}); install the ROS 2 common interfaces"
        ) from error


def seconds_to_ns(seconds: float) -> int:
    """Return a duration in whole nanoseconds."""
    return round(seconds * NS)


def stamp_to_ns(stamp: RosObject) -> int:
    """Return a ``builtin_interfaces`` time or duration in nanoseconds."""
    return int(stamp.sec) * NS + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> RosObject:
    """Return a ``builtin_interfaces/Time``."""
    return _timed("builtin_interfaces/msg/Time", stamp_ns)


def _timed(kind: str, value_ns: int) -> RosObject:
    seconds, nanoseconds = divmod(value_ns, NS)
    return message_class(kind)(sec=int(seconds), nanosec=int(nanoseconds))


def header(stamp_ns: int, frame: str = "") -> RosObject:
    """Return a ``std_msgs/Header``."""
    return message_class("std_msgs/msg/Header")(stamp=ns_to_stamp(stamp_ns), frame_id=frame)


def decode_pose(message: RosObject) -> Stamped:
    """Return a PoseStamped as position (m) and quaternion xyzw, (7,)."""
    p, q = message.pose.position, message.pose.orientation
    values = np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w], dtype=np.float64)
    return Stamped(stamp_to_ns(message.header.stamp), message.header.frame_id, values)


def encode_pose(stamp_ns: int, frame: str, pose: ArrayLike) -> RosObject:
    """Return a PoseStamped from position (m) and quaternion xyzw, (7,)."""
    x, y, z, qx, qy, qz, qw = (float(value) for value in np.asarray(pose, dtype=np.float64))
    message = message_class("geometry_msgs/msg/PoseStamped")(header=header(stamp_ns, frame))
    position, orientation = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = x, y, z
    orientation.x, orientation.y, orientation.z, orientation.w = qx, qy, qz, qw
    return message


def decode_twist(message: RosObject) -> Stamped:
    """Return a TwistStamped as linear (m/s) and angular (rad/s) velocity, (6,)."""
    v, w = message.twist.linear, message.twist.angular
    values = np.array([v.x, v.y, v.z, w.x, w.y, w.z], dtype=np.float64)
    return Stamped(stamp_to_ns(message.header.stamp), message.header.frame_id, values)


def encode_twist(stamp_ns: int, frame: str, twist: ArrayLike) -> RosObject:
    """Return a TwistStamped from linear (m/s) and angular (rad/s) velocity, (6,)."""
    message = message_class("geometry_msgs/msg/TwistStamped")(header=header(stamp_ns, frame))
    values = [float(value) for value in np.asarray(twist, dtype=np.float64)]
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = values
    return message


def decode_gripper_width(message: RosObject) -> Stamped:
    """Return the gripper opening (m), (1,): the sum of both finger joints of a JointState.

    Raises:
        ObservationError: A finger joint is not in the message.
    """
    positions = dict(zip(message.name, message.position, strict=False))
    width = 0.0
    for suffix in FINGER_SUFFIXES:
        matches = [name for name in positions if name.endswith(suffix)]
        if len(matches) != 1:
            raise ObservationError(
                f"joint state names {list(message.name)} hold {len(matches)} joints ending in "
                f"{suffix!r}; exactly one is needed to know the gripper width"
            )
        width += float(positions[matches[0]])
    return Stamped(stamp_to_ns(message.header.stamp), message.header.frame_id, np.array([width]))


def decode_arm(message: RosObject, prefix: str) -> Stamped:
    """Return angles (rad) and velocities (rad/s) of the arm of a JointState, (14,).

    Joints are found by name, so their order in the message does not matter.

    Args:
        message: The JointState.
        prefix: The joints are ``<prefix>_joint1`` to ``<prefix>_joint7``.

    Raises:
        ObservationError: A joint is not in the message, or comes without a velocity.
    """
    names = list(message.name)
    wanted = [f"{prefix}_joint{index}" for index in range(1, 8)]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ObservationError(
            f"joint state names {names} lack {', '.join(missing)}; the arm's joints must be named "
            f"{wanted[0]} to {wanted[-1]}: set arm_prefix to what the driver uses"
        )
    if len(message.position) != len(names) or len(message.velocity) != len(names):
        raise ObservationError(
            f"joint state has {len(names)} names, {len(message.position)} positions and "
            f"{len(message.velocity)} velocities; the arm needs all three"
        )
    order = [names.index(name) for name in wanted]
    values = [message.position[i] for i in order] + [message.velocity[i] for i in order]
    stamp_ns = stamp_to_ns(message.header.stamp)
    return Stamped(stamp_ns, message.header.frame_id, np.array(values, dtype=np.float64))


def decode_joints(stream: str, message: RosObject, prefix: str) -> Stamped:
    """Return the sample that a JointState holds for the arm or the gripper stream.

    Raises:
        ObservationError: The message does not hold it.
    """
    if stream == "gripper_width":
        return decode_gripper_width(message)
    return decode_arm(message, prefix)


def decode_stream(stream: str, message: RosObject) -> Stamped:
    """Return the sample that a pose or twist message holds for an observation stream."""
    return decode_twist(message) if stream == "tool_twist" else decode_pose(message)


def decode_vector(message: RosObject) -> tuple[int, tuple[str, ...], FloatArray]:
    """Return stamp (ns), names and positions of a JointState."""
    values = np.array(message.position, dtype=np.float64)
    return stamp_to_ns(message.header.stamp), tuple(message.name), values


def encode_vector(
    stamp_ns: int,
    names: Sequence[str],
    values: ArrayLike,
    frame: str = "",
    velocities: ArrayLike = (),
) -> RosObject:
    """Return a JointState: one named number each, as stamped labelled vectors have no own type."""
    return message_class("sensor_msgs/msg/JointState")(
        header=header(stamp_ns, frame),
        name=list(names),
        position=np.asarray(values, dtype=np.float64).tolist(),
        velocity=np.asarray(velocities, dtype=np.float64).tolist(),
    )


def encode_trajectory(
    names: Sequence[str], points: Sequence[tuple[int, ArrayLike, ArrayLike]]
) -> RosObject:
    """Return a JointTrajectory that begins on arrival: stamp zero, as controllers understand it.

    Args:
        names: Joints.
        points: Time from the start (ns), positions (rad) and velocities (rad/s) of each point.
    """
    point_class = message_class("trajectory_msgs/msg/JointTrajectoryPoint")
    return message_class("trajectory_msgs/msg/JointTrajectory")(
        joint_names=list(names),
        points=[
            point_class(
                positions=np.asarray(positions, dtype=np.float64).tolist(),
                velocities=np.asarray(velocities, dtype=np.float64).tolist(),
                time_from_start=_timed("builtin_interfaces/msg/Duration", time_ns),
            )
            for time_ns, positions, velocities in points
        ],
    )


def decode_chunk(message: RosObject) -> ChunkMessage:
    """Return an action chunk from a JointTrajectory.

    Raises:
        ActionError: No points, points of different size, or times that are not evenly spaced.
    """
    names = tuple(message.joint_names)
    sizes = {len(point.positions) for point in message.points}
    if sizes != {len(names)}:
        raise ActionError(
            f"chunk has {len(message.points)} points of sizes {sorted(sizes)} for {len(names)} "
            "component names; every point needs one number for each name"
        )
    times = [stamp_to_ns(point.time_from_start) for point in message.points]
    period = times[1] - times[0] if len(times) > 1 else 0
    if times != [index * period for index in range(len(times))] or period < 0:
        raise ActionError(
            f"chunk times {times} ns are not evenly spaced from 0; action i must be at i * period"
        )
    actions = np.array([point.positions for point in message.points], dtype=np.float64)
    return ChunkMessage(stamp_to_ns(message.header.stamp), names, actions, period)


def check_layout(chunk: ChunkMessage, names: Sequence[str], period_ns: int) -> None:
    """Refuse a chunk that does not come from the bundle in use.

    Args:
        chunk: The chunk.
        names: Component names of the bundle's actions.
        period_ns: Its control period (ns).

    Raises:
        ActionError: Other components or another rate.
    """
    if chunk.names != tuple(names):
        raise ActionError(
            f"chunk components are {', '.join(chunk.names[:3])}, ... ({len(chunk.names)}); the "
            f"bundle has {', '.join(names[:3])}, ... ({len(names)}); give both nodes one bundle"
        )
    if len(chunk.actions) > 1 and chunk.period_ns != period_ns:
        raise ActionError(
            f"chunk has one action every {chunk.period_ns / 1e6:g} ms; the bundle has one every "
            f"{period_ns / 1e6:g} ms; give both nodes one bundle"
        )


def encode_chunk(
    stamp_ns: int, frame: str, names: Sequence[str], actions: ArrayLike, period_ns: int
) -> RosObject:
    """Return a JointTrajectory with one point for each action; the stamp is that of action 0."""
    point_class = message_class("trajectory_msgs/msg/JointTrajectoryPoint")
    points = [
        point_class(
            positions=row.tolist(),
            time_from_start=_timed("builtin_interfaces/msg/Duration", index * period_ns),
        )
        for index, row in enumerate(np.asarray(actions, dtype=np.float64))
    ]
    return message_class("trajectory_msgs/msg/JointTrajectory")(
        header=header(stamp_ns, frame), joint_names=list(names), points=points
    )


def decode_status(message: RosObject) -> tuple[int, dict[str, str]]:
    """Return stamp (ns) and key-values of the first status of a DiagnosticArray.

    The keys ``name`` and ``message`` carry the fields of the same name.
    """
    stamp_ns = stamp_to_ns(message.header.stamp)
    if not message.status:
        return stamp_ns, {}
    status = message.status[0]
    values = {str(pair.key): str(pair.value) for pair in status.values}
    return stamp_ns, {"name": status.name, "message": status.message, **values}


def encode_status(
    stamp_ns: int, name: str, level: str, text: str, values: Mapping[str, object]
) -> RosObject:
    """Return a DiagnosticArray with one status.

    Args:
        stamp_ns: Time of the status (ns).
        name: Who reports.
        level: One of ``ok``, ``warn``, ``error``, ``stale``.
        text: One line for people.
        values: Key-values; numbers are written so that they read back exactly.
    """
    pair_class = message_class("diagnostic_msgs/msg/KeyValue")
    status = message_class("diagnostic_msgs/msg/DiagnosticStatus")(
        level=bytes([LEVELS[level]]),
        name=name,
        message=text,
        values=[pair_class(key=str(key), value=_text(value)) for key, value in values.items()],
    )
    return message_class("diagnostic_msgs/msg/DiagnosticArray")(
        header=header(stamp_ns), status=[status]
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return str(value)
