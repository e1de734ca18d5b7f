# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every topic of the graph: name, type, quality, who publishes it and who listens.

The nodes, the recorder, the tests and the documentation read this table. Pure Python: no rclpy.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.observation import OBSTACLE, ONE_LEG_PARTS

EVERY_NODE = "every node"
CAMERA_NODE = "camera"
"""Stands for the camera node of the camera in question, or the twin that draws its pictures."""


@dataclass(frozen=True)
class Topic:
    """A topic of the graph.

    Attributes:
        name: Relative name; remapping and namespaces apply as usual.
        type: Message type.
        quality: Key into ``qos.QUALITIES``.
        publisher: Node that publishes it in the twin.
        subscribers: Nodes that listen to it, besides the recorder, which listens to everything.
            ``node.setting`` listens only with that setting, see ``graph.plan``.
        description: One line for people.
    """

    name: str
    type: str
    quality: str
    publisher: str
    subscribers: tuple[str, ...]
    description: str


_POSE, _TWIST = "geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/TwistStamped"
_UNCERTAIN = "geometry_msgs/msg/PoseWithCovarianceStamped"
_JOINTS, _STATUS = "sensor_msgs/msg/JointState", "diagnostic_msgs/msg/DiagnosticArray"
_TRAJECTORY, _CLOCK = "trajectory_msgs/msg/JointTrajectory", "rosgraph_msgs/msg/Clock"
_IMAGE, _INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
_MARKERS = "visualization_msgs/msg/MarkerArray"

TRACKED: tuple[str, ...] = (*ONE_LEG_PARTS, OBSTACLE)
"""Objects whose poses the graph carries."""

TOPICS: tuple[Topic, ...] = (
    Topic("clock", _CLOCK, "clock", "sim", ("tag", "observation", "policy", "command", "display"),
          "simulated time, where it is used"),
    Topic("joint_states", _JOINTS, "observation", "sim",
          ("tag", "observation", "command", "display"),
          "arm and finger joints"),
    Topic("tool_pose", _POSE, "observation", "sim",
          ("observation.topics",), "measured tool pose"),
    Topic("tool_twist", _TWIST, "observation", "sim", ("observation.topics",),
          "measured tool velocity"),
    *(
        Topic(f"truth/{part}/pose", _POSE, "observation", "sim", ("observation.truth", "display"),
              f"true pose of {part}")
        for part in TRACKED
    ),
    *(
        topic
        for camera in shipped_cameras()
        for topic in (
            Topic(camera.image_topic, _IMAGE, "image", CAMERA_NODE, ("tag",),
                  f"picture of camera {camera.name}"),
            Topic(camera.info_topic, _INFO, "image", CAMERA_NODE, ("tag",),
                  f"calibration of camera {camera.name}"),
            Topic(camera.depth_topic, _IMAGE, "image", CAMERA_NODE, (),
                  f"distances (mm) of camera {camera.name}, where asked for"),
            Topic(camera.depth_info_topic, _INFO, "image", CAMERA_NODE, (),
                  f"calibration of the distances of camera {camera.name}"),
        )
    ),
    *(
        topic
        for part in TRACKED
        for topic in (
            Topic(f"parts/{part}/pose", _POSE, "observation", "tag",
                  ("observation.parts", "display"),
                  f"tracked pose of {part}"),
            Topic(f"parts/{part}/pose_with_covariance", _UNCERTAIN, "observation", "tag", (),
                  f"tracked pose of {part} with its uncertainty"),
        )
    ),
    Topic("perception/status", _STATUS, "status", "tag", (),
          "age, error and tags of every part"),
    Topic("task/status", _STATUS, "status", "sim", (), "phase, success, end of the episode"),
    Topic("policy/observation", _JOINTS, "observation", "observation", ("policy", "sim"),
          "vector the policy sees"),
    Topic("observation/status", _STATUS, "status", "observation", (),
          "how streams become observations, for replays"),
    Topic("policy/chunk", _TRAJECTORY, "chunk", "policy", ("command", "display"),
          "predicted actions; the stamp is the time of action 0"),
    Topic("policy/status", _STATUS, "status", "policy", ("display",),
          "inference latency, refusals"),
    Topic("joint_command", _JOINTS, "command", "command", ("sim",),
          "joint setpoints, position and velocity"),
    Topic("target_pose", _POSE, "command", "command", ("display",),
          "tool goal of the action that is executed"),
    Topic("gripper/command", _JOINTS, "command", "command", ("sim",), "gripper latch value"),
    Topic("command/status", _STATUS, "status", "command", ("display",),
          "mode, interventions, latency"),
    Topic("markers", _MARKERS, "markers", "display", (), "the cell as drawn by the display node"),
    Topic("diagnostics", _STATUS, "diagnostics", EVERY_NODE, (), "rates, latencies, counters"),
)  # fmt: skip
"""Every topic; the recorder records all of them but pictures, which have to be asked for."""


def topic(name: str) -> Topic:
    """Return the topic of this name.

    Raises:
        ConfigError: There is no such topic.
    """
    for entry in TOPICS:
        if entry.name == name:
            return entry
    raise ConfigError(unknown_name_message("topic", name, (entry.name for entry in TOPICS)))


def stream_topics(truth: bool = True) -> dict[str, Topic]:
    """Return the topic that feeds each observation stream.

    Args:
        truth: Part poses come from the simulator; otherwise from the tracker.
    """
    prefix = "truth" if truth else "parts"
    return {
        "tool_pose": topic("tool_pose"),
        "tool_twist": topic("tool_twist"),
        "gripper_width": topic("joint_states"),
        "arm_joints": topic("joint_states"),
        **{f"{part}_pose": topic(f"{prefix}/{part}/pose") for part in TRACKED},
    }


def expected_subscribers(entry: Topic, names: Collection[str]) -> int:
    """Return how many of the named nodes listen to a topic."""
    recorded = entry.quality != "image"
    return sum(name in entry.subscribers or (recorded and name == "recorder") for name in names)
