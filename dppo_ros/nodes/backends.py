# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ways from joint setpoints to a robot: what is published for each of them.

Every back-end gets the same judged setpoints. The topic of a controller is relative and meant to
be remapped to the controller's own name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from dppo_ros import messages, qos
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.control.stopping import StopPoint
from dppo_ros.core.command_state import Setpoint
from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.rotations import FloatArray, quaternion_from_matrix
from dppo_ros.messages import RosObject

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode

CRISP_PERIOD_NS = 20_000_000
"""Time between two tool poses, or the nearest number of whole setpoints."""


Advertise: TypeAlias = Callable[[str], RosObject]


class Backend(Protocol):
    """Sends setpoints."""

    topic: str

    def send(self, setpoint: Setpoint) -> None:
        """Send a setpoint."""
        ...


class TwinBackend:
    """The simulated cell: every setpoint with its velocity."""

    topic = "joint_command"

    def __init__(self, node: ManagedNode, motion: MotionPipeline, publisher: Advertise) -> None:
        """Advertise the topic."""
        self._publisher = publisher(self.topic)
        self._names = motion.robot.joint_names

    def send(self, setpoint: Setpoint) -> None:
        """Send a setpoint."""
        self._publisher.publish(
            messages.encode_vector(
                setpoint.stamp_ns, self._names, setpoint.position, velocities=setpoint.velocity
            )
        )


class JointPositionBackend:
    """A forward_command_controller for positions: every setpoint, positions only."""

    topic = "joint_position_controller/commands"

    def __init__(self, node: ManagedNode, motion: MotionPipeline, publisher: Advertise) -> None:
        """Advertise the topic."""
        self._kind = messages.message_class("std_msgs/msg/Float64MultiArray")
        self._publisher = advertise_controller(node, "std_msgs/msg/Float64MultiArray", self.topic)

    def send(self, setpoint: Setpoint) -> None:
        """Send a setpoint."""
        self._publisher.publish(self._kind(data=setpoint.position.tolist()))


class JointTrajectoryBackend:
    """A joint_trajectory_controller: the next setpoint, then the stop that the gate worked out.

    The controller replaces its trajectory with every message. When the stream ends for whatever
    reason, what it has left to execute is a stop that was judged beforehand, ending at velocity
    zero as the controller demands. Every setpoint is sent, and is due when the next one comes:
    ``MotionPipeline.coast`` relies on the controller having begun the stop of the last of them.
    """

    topic = "joint_trajectory_controller/joint_trajectory"

    def __init__(self, node: ManagedNode, motion: MotionPipeline, publisher: Advertise) -> None:
        """Advertise the topic."""
        self._publisher = advertise_controller(
            node, "trajectory_msgs/msg/JointTrajectory", self.topic
        )
        self._names = motion.robot.joint_names
        self._run_out: Callable[[], Sequence[StopPoint]] = motion.run_out
        self._cycle_ns = messages.seconds_to_ns(1.0 / node.number("setpoint_rate_hz"))

    def send(self, setpoint: Setpoint) -> None:
        """Send a setpoint and the stop after it."""
        self._publisher.publish(
            messages.encode_trajectory(
                self._names,
                [
                    (
                        self._cycle_ns + messages.seconds_to_ns(point.time_s),
                        point.position,
                        point.velocity,
                    )
                    for point in self._run_out()
                ],
            )
        )


class CrispBackend:
    """crisp_controllers: the tool pose of the setpoints at 50 Hz."""

    topic = "target_pose"

    def __init__(self, node: ManagedNode, motion: MotionPipeline, publisher: Advertise) -> None:
        """Advertise the topic."""
        self._publisher = publisher(self.topic)
        self._frame = node.text("base_frame")
        # Half a setpoint less: stamps are those of deadlines, which drift by microseconds.
        self._least_ns = CRISP_PERIOD_NS - round(0.5e9 / node.number("setpoint_rate_hz"))
        self._last_ns: int | None = None

    def send(self, setpoint: Setpoint) -> None:
        """Send the tool pose of a setpoint, every ``CRISP_PERIOD_NS``."""
        last = self._last_ns
        if last is not None and 0 <= setpoint.stamp_ns - last < self._least_ns:
            return
        self._last_ns = setpoint.stamp_ns
        pose = pose_of(*tool_pose(setpoint.position))
        self._publisher.publish(messages.encode_pose(setpoint.stamp_ns, self._frame, pose))


_KINDS: dict[str, Callable[[ManagedNode, MotionPipeline, Advertise], Backend]] = {
    "twin": TwinBackend,
    "joint_position": JointPositionBackend,
    "joint_trajectory": JointTrajectoryBackend,
    "crisp": CrispBackend,
}


def make_backend(
    name: str, node: ManagedNode, motion: MotionPipeline, publisher: Advertise
) -> Backend:
    """Return the back-end of this name.

    Args:
        name: One of ``parameters.command.BACKENDS``.
        node: The command node.
        motion: Where the setpoints come from.
        publisher: Returns a publisher for a topic of the graph.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in _KINDS:
        raise ConfigError(unknown_name_message("back-end", name, _KINDS))
    return _KINDS[name](node, motion, publisher)


def pose_of(position: FloatArray, base_from_tool: FloatArray) -> list[float]:
    """Return position (3,) and rotation (3, 3) as position and quaternion xyzw, (7)."""
    return [*position, *quaternion_from_matrix(base_from_tool)]


def advertise_controller(node: ManagedNode, kind: str, topic: str) -> RosObject:
    """Return a publisher for a topic of a controller, which is no topic of the graph."""
    return node.advertise_as(kind, topic, qos.profile("command"))
