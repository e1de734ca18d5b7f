# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node beside a running graph: watches everything, calls services, plays the intruder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from dppo_ros import messages, qos
from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from dppo_ros.drills.arm import JOINTS
from dppo_ros.drills.injector import Relay, relayed
from dppo_ros.drills.monitor import CommandMonitor, Expectations
from dppo_ros.drills.timeline import Timeline
from dppo_ros.messages import RosObject
from dppo_ros.topics import TOPICS, topic

_POLL_S = 0.01
_DEPTH = 500
_HAND = "finger"
_SETTLE_S = 0.2
_TRIGGER = "std_srvs/srv/Trigger"


class Intruder:
    """A node of its own that publishes where it has no business."""

    def __init__(self, context: Context, name: str) -> None:
        """Join the graph.

        Args:
            context: Where.
            name: Topic of the graph; published under the name of its repetition.
        """
        self._node = rclpy.create_node("intruder", context=context, start_parameter_services=False)
        entry = topic(name)
        kind = messages.message_class(entry.type)
        self._publisher = self._node.create_publisher(
            kind, relayed(name), qos.profile(entry.quality)
        )

    def send(self, message: RosObject) -> None:
        """Publish."""
        self._publisher.publish(message)

    def leave(self) -> None:
        """Leave the graph."""
        self._node.destroy_node()


class Stage:
    """Watches a graph in the ROS domain of this process, for the length of a ``with`` block."""

    def __init__(self, expected: Expectations | None = None) -> None:
        """Listen to commands, joints and statuses.

        Args:
            expected: What a command may be.
        """
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            "drill_stage", context=self._context, start_parameter_services=False
        )
        self.monitor = CommandMonitor(expected or Expectations())
        self.timeline = Timeline()
        self.status: Mapping[str, str] = {}
        self.task: Mapping[str, str] = {}
        self.chunk_stamps_ns: list[int] = []
        self.joints_stamp_ns = 0
        self.on_task: Callable[[Mapping[str, str]], None] | None = None
        self._goal: np.ndarray | None = None
        names = {entry.name for entry in TOPICS}
        for name, callback in (
            ("joint_command", self._on_joint_command),
            ("target_pose", self._on_target_pose),
            ("gripper/command", self._on_gripper),
            ("joint_states", self._on_joint_states),
            ("command/status", self._on_status),
            ("task/status", self._on_task_status),
            ("policy/chunk", self._on_chunk),
        ):
            if name in names:
                self.listen(name, callback)
        self._commands_joints = "joint_command" in names
        # Repeating and painting pictures must not keep the judge waiting.
        self._relay_node = rclpy.create_node(
            "drill_relay", context=self._context, start_parameter_services=False
        )
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._spin, args=(node,), name=node.get_name(), daemon=True)
            for node in (self.node, self._relay_node)
        ]

    def __enter__(self) -> Stage:
        """Begin to listen."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the graph."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5.0)
        self.node.destroy_node()
        self._relay_node.destroy_node()
        rclpy.shutdown(context=self._context)

    def listen(self, name: str, callback: Callable[..., None]) -> None:
        """Call back with every message of a topic of the graph."""
        entry = topic(name)
        self.node.create_subscription(
            messages.message_class(entry.type), name, callback, qos.profile(entry.quality, _DEPTH)
        )

    def intruder(self, name: str) -> Intruder:
        """Return a publisher of another node for a topic, under its repeated name."""
        return Intruder(self._context, name)

    def relay(self, name: str, quality: str | None = None) -> Relay:
        """Stand between the nodes of a topic; call before the graph starts."""
        return Relay(self._relay_node, name, quality)

    @property
    def state(self) -> str:
        """Return what the command node says it does."""
        return self.status.get("mode", self.status.get("state", ""))

    def wait(self, condition: Callable[[], object], timeout_s: float) -> bool:
        """Return whether a condition became true in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def call(self, service: str, kind: str, timeout_s: float = 10.0, **fields: Any) -> RosObject:  # noqa: ANN401
        """Call a service and return its answer.

        Args:
            service: Name.
            kind: Type, such as ``std_srvs/srv/Trigger``.
            timeout_s: Longest wait (s).
            **fields: Fields of the request.

        Raises:
            EnvironmentUnavailableError: No answer came in time.
        """
        message = messages.message_class(kind)
        client = self.node.create_client(message, service)
        try:
            if self.wait(client.service_is_ready, timeout_s):
                future = client.call_async(message.Request(**fields))
                if self.wait(future.done, timeout_s):
                    return future.result()
        finally:
            self.node.destroy_client(client)
        raise EnvironmentUnavailableError(
            f"service {service} gave no answer within {timeout_s:g} s; is its node running?"
        )

    def resume(self) -> None:
        """Do what an operator does after a fault or a hold that does not end by itself."""
        if self.state == "fault":
            self.call("/command/recover", _TRIGGER)
            self.wait(lambda: self.state == "idle", 10.0)
        if self.state == "estop":
            self.call("/command/clear", _TRIGGER)
        self.call("/command/start", _TRIGGER)

    def new_episode(self, seed: int) -> None:
        """Start an episode of the twin from another state.

        The arm is elsewhere at once, as no robot can be: while that happens commands are counted
        but not judged, and the stream that follows is judged as a new one.
        """
        self.set_parameter("sim", "seed", seed)
        episode = self.task.get("episode", "")
        self.monitor.suspended = True
        try:
            self.call("/sim/reset", _TRIGGER)
            self.wait(lambda: self.task.get("episode", "") != episode, 5.0)
            time.sleep(_SETTLE_S)
        finally:
            self.monitor.restart()
            self.monitor.suspended = False

    def set_parameter(self, node: str, name: str, value: int | float | str) -> None:
        """Change a parameter of a running node.

        Raises:
            ConfigError: The node refused.
        """
        made = messages.message_class("rcl_interfaces/msg/Parameter")(name=name)
        fields = {int: (2, "integer_value"), float: (3, "double_value"), str: (4, "string_value")}
        made.value.type, key = fields[type(value)]
        setattr(made.value, key, value)
        kind = "rcl_interfaces/srv/SetParameters"
        answer = self.call(f"/{node}/set_parameters", kind, parameters=[made])
        if not answer.results[0].successful:
            raise ConfigError(f"node {node} refused {name} = {value}: {answer.results[0].reason}")

    def _spin(self, node: Node) -> None:
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(node)
        while not self._stop.is_set():
            executor.spin_once(timeout_sec=0.1)
        executor.shutdown()

    def _on_joint_command(self, message: RosObject, info: Mapping[str, int]) -> None:
        stamp_ns = messages.stamp_to_ns(message.header.stamp)
        now_ns = info["received_timestamp"]
        number = info.get("publication_sequence_number")
        self.monitor.joint_command(stamp_ns, now_ns, message.position, message.velocity, number)
        self.timeline.command(now_ns, float(np.abs(message.velocity).max(initial=0.0)))

    def _on_target_pose(self, message: RosObject) -> None:
        pose = messages.decode_pose(message).values
        self.monitor.target_pose(pose)
        if not self._commands_joints:
            # Without joint commands a goal that stands still is the sign of a hold.
            still = self._goal is not None and float(np.abs(pose - self._goal).max()) < 1e-6
            self.timeline.command(time.time_ns(), 0.0 if still else 1.0)
            self._goal = pose

    def _on_gripper(self, message: RosObject) -> None:
        for value in message.position:
            self.monitor.gripper(float(value))

    def _on_joint_states(self, message: RosObject, info: Mapping[str, int]) -> None:
        self.joints_stamp_ns = messages.stamp_to_ns(message.header.stamp)
        arm = [index for index, name in enumerate(message.name) if _HAND not in name]
        if len(arm) == JOINTS and len(message.velocity) >= JOINTS:
            now_ns = info["received_timestamp"]
            joints = [message.position[index] for index in arm]
            self.monitor.measured(self.joints_stamp_ns, now_ns, joints)
            speeds = np.abs([message.velocity[index] for index in arm])
            self.timeline.measure(now_ns, float(speeds.max()))

    def _on_status(self, message: RosObject) -> None:
        values = messages.decode_status(message)[1]
        self.status = values
        self.timeline.state(time.time_ns(), self.state, values.get("reason", ""))

    def _on_task_status(self, message: RosObject) -> None:
        self.task = messages.decode_status(message)[1]
        if self.on_task is not None:
            self.on_task(self.task)

    def _on_chunk(self, message: RosObject) -> None:
        self.chunk_stamps_ns.append(messages.stamp_to_ns(message.header.stamp))
