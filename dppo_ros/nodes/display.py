# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Topics -> markers for RViz and Foxglove, at a low rate and only while somebody looks.

What is drawn is decided in ``display.scene``. The box of the workspace is asked from the command
node, so that the picture shows what is guarded and not what a file says.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from rclpy.task import Future

from dppo_ros import messages, topics
from dppo_ros.core.diagnostics import EventCounts, LatencyWindow, RateMonitor
from dppo_ros.core.errors import ActionError, ObservationError
from dppo_ros.core.kinematics import ARM_JOINTS, tool_pose
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.core.rotations import quaternion_from_matrix
from dppo_ros.display.marks import encode
from dppo_ros.display.scene import Known, draw
from dppo_ros.display.shapes import base_from_tag
from dppo_ros.display.transforms import encode_transforms
from dppo_ros.messages import ChunkMessage, RosObject, Stamped
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.parameters.display import DISPLAY

_LEVELS = ("ok", "warn", "error", "stale")
_WORKSPACE = ("safety.workspace_minimum_m", "safety.workspace_maximum_m")
_POSITION_NAMES = furniture_action_spec().component_names[:3]
_SUFFIXES = tuple(f"_joint{index}" for index in range(1, ARM_JOINTS + 1))


class DisplayNode(ManagedNode):
    """Draws the cell as the nodes see it."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("display", DISPLAY)
        self._tracked: dict[str, Stamped] = {}
        self._truth: dict[str, Stamped] = {}
        self._joints: RosObject = None
        self._goal: Stamped | None = None
        self._chunk: ChunkMessage | None = None
        self._steps = (0, 0)
        self._state = ("stale", "no command node")
        self._workspace: tuple[list[float], list[float]] | None = None
        self._workspace_asked = False
        self._trail: deque[list[float]] = deque()
        self._counts = EventCounts("drawn", "unusable")
        self._rate = RateMonitor()
        self._latency = LatencyWindow()

    def configure(self) -> None:
        """Create the topics.

        Raises:
            DppoError: A parameter is not acceptable.
        """
        self._markers = self.advertise("markers")
        self._diagnostics = self.advertise("diagnostics")
        for part in topics.TRACKED:
            self.subscribe(f"parts/{part}/pose", partial(self._on_part, self._tracked, part), 1)
            self.subscribe(f"truth/{part}/pose", partial(self._on_part, self._truth, part), 1)
        self.subscribe("joint_states", self._on_joints, 1)
        self.subscribe("target_pose", self._on_goal)
        self.subscribe("policy/chunk", self._on_chunk)
        self.subscribe("policy/status", self._on_policy)
        self.subscribe("command/status", self._on_command)
        root = self.get_namespace().rstrip("/")
        kind = messages.message_class("rcl_interfaces/srv/GetParameters")
        self._asked = self.create_client(kind, f"{root}/{self.text('command_node')}/get_parameters")
        self._releases.append(partial(self.destroy_client, self._asked))
        self._transforms = self._transform_publisher()
        length = max(int(self.number("trail_s") * self.number("rate_hz")), 1)
        self._trail = deque(maxlen=length)
        self.every(1.0 / self.number("rate_hz"), self._draw)
        self.every(1.0, self._diagnose)

    def _transform_publisher(self) -> RosObject:
        """Return a publisher of /tf, or None where its message type is not installed."""
        if not self.flag("publish_tf"):
            return None
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self.get_logger().info("tf2_msgs is not installed: markers only, nothing on /tf")
            return None
        publisher = self.create_publisher(TFMessage, "/tf", 100)
        self._releases.append(partial(self.destroy_publisher, publisher))
        return publisher

    def _on_part(self, store: dict[str, Stamped], part: str, message: RosObject) -> None:
        sample = messages.decode_pose(message)
        if sample.frame == self.text("tag_frame"):
            store[part] = sample
        else:
            self._counts.add("unusable")
            self.warn(f"ignored a pose of {part} in frame {sample.frame!r}")

    def _on_joints(self, message: RosObject) -> None:
        if any(name.endswith(_SUFFIXES[0]) and "finger" not in name for name in message.name):
            self._joints = message

    def _on_goal(self, message: RosObject) -> None:
        self._goal = messages.decode_pose(message)

    def _on_chunk(self, message: RosObject) -> None:
        try:
            chunk = messages.decode_chunk(message)
        except ActionError as error:
            self._counts.add("unusable")
            self.warn(f"cannot draw a chunk: {error}")
        else:
            self._chunk = chunk if chunk.names[:3] == _POSITION_NAMES else None

    def _on_policy(self, message: RosObject) -> None:
        values = messages.decode_status(message)[1]
        numbers = [values.get(key, "0") for key in ("frozen_steps", "blended_steps")]
        if all(number.isdecimal() for number in numbers):
            self._steps = (int(numbers[0]), int(numbers[1]))

    def _on_command(self, message: RosObject) -> None:
        values = messages.decode_status(message)[1]
        if not message.status:
            return
        level = message.status[0].level
        number = level[0] if isinstance(level, bytes) else int(level)  # rclpy: one byte
        words = [values.get("state") or values.get("mode") or values["message"]]
        words += [values[key] for key in ("reason", "interventions") if values.get(key)]
        self._state = (_LEVELS[min(number, 3)], ": ".join(words))

    def _tool(self) -> list[float] | None:
        """Return the measured tool pose (7,) in the base frame, from the joints."""
        if self._joints is None:
            return None
        values = dict(zip(self._joints.name, self._joints.position, strict=False))
        angles = [
            value
            for suffix in _SUFFIXES
            for name, value in values.items()
            if name.endswith(suffix) and "finger" not in name
        ]
        if len(angles) != ARM_JOINTS:
            return None
        position, rotation = tool_pose(angles)
        return [*position.tolist(), *quaternion_from_matrix(rotation).tolist()]

    def _draw(self) -> None:
        if not self.active:
            return
        self._ask_workspace()
        tool = self._tool()
        if tool is not None and self.number("trail_s") > 0:
            self._trail.append(tool[:3])
        if self._transforms is not None:
            self._send_transforms(tool)
        if not self._markers.get_subscription_count():
            return
        now_ns = self.now_ns()
        known = Known(
            now_ns, messages.seconds_to_ns(self.number("max_age_s")), self._tracked, self._truth,
            tool, None if self._goal is None else self._goal.values.tolist(), list(self._trail),
            self._chunk, *self._steps, self._workspace, *self._state,
        )  # fmt: skip
        lifetime_ns = messages.seconds_to_ns(2.5 / self.number("rate_hz"))
        try:
            message = encode(draw(known), now_ns, self.text("base_frame"), lifetime_ns)
        except ObservationError as error:
            self._counts.add("unusable")
            self.warn(f"cannot draw: {error}")
            return
        self._markers.publish(message)
        self._counts.add("drawn")
        self._rate.tick(now_ns)
        self._latency.add_ns(self.now_ns() - now_ns)

    def _ask_workspace(self) -> None:
        if not self._workspace_asked and self._asked.service_is_ready():
            self._workspace_asked = True
            kind = messages.message_class("rcl_interfaces/srv/GetParameters")
            future = self._asked.call_async(kind.Request(names=list(_WORKSPACE)))
            future.add_done_callback(self._on_workspace)

    def _on_workspace(self, future: Future) -> None:
        answer = future.result()
        corners = [] if answer is None else [list(v.double_array_value) for v in answer.values]
        good = len(corners) == 2 and all(len(corner) == 3 for corner in corners)
        self._workspace = (corners[0], corners[1]) if good else None

    def _send_transforms(self, tool: list[float] | None) -> None:
        base = self.text("base_frame")
        poses = {f"{base.rsplit('_', 1)[0]}_tool": tool} if tool is not None else {}
        for part, sample in {**self._truth, **self._tracked}.items():
            poses[part] = base_from_tag(sample.values).tolist()
        self._transforms.publish(encode_transforms(self.now_ns(), base, poses))

    def _diagnose(self) -> None:
        if not self.active:
            return
        latency = self._latency.summary()
        values = {
            "rate_hz": round(self._rate.rate_hz, 3),
            "viewers": self._markers.get_subscription_count(),
            "draw_median_ms": round(latency.median_ms, 3),
            "draw_p99_ms": round(latency.p99_ms, 3),
            **self._counts.as_dict(),
        }
        publish_diagnostics(self, self._diagnostics, "ok", "drawing", values)


def main() -> int:
    """Run the node."""
    return run(DisplayNode)


if __name__ == "__main__":
    raise SystemExit(main())
