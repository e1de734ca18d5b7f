# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a system started with these arguments should look like, derived from the graph. No rclpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from dppo_ros import graph, topics
from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.nodes.backends import (
    CrispBackend,
    JointPositionBackend,
    JointTrajectoryBackend,
    TwinBackend,
)
from dppo_ros.parameters.model import Value, by_name

JOINT_STATE_FLOOR_HZ = 30.0
"""joint_state_publisher of franka_ros2 sends at this rate unless told otherwise."""

BACKEND_TOPICS = {
    "twin": TwinBackend.topic,
    "joint_position": JointPositionBackend.topic,
    "joint_trajectory": JointTrajectoryBackend.topic,
    "crisp": CrispBackend.topic,
}
"""Topic of the robot's controller by back-end."""

_TOOL = ("tool_pose", "tool_twist")
"""Not needed where the observation node computes them from the joints."""

_SLACK = 0.8
"""Share of the nominal rate that a topic must reach."""


@dataclass(frozen=True)
class Expected:
    """What one topic should look like.

    Attributes:
        entry: Its line in the table of topics.
        own: Whether one of the nodes of this package publishes it, by name; empty for the robot's
            own drivers.
        rate_hz: Least rate while the system runs; 0 for topics that come when they come.
        frame: frame_id that its messages must have; empty for any.
        required: Whether the system cannot do without it.
    """

    entry: topics.Topic
    own: str
    rate_hz: float = 0.0
    frame: str = ""
    required: bool = True


@dataclass(frozen=True)
class Expectation:
    """What the whole system should look like.

    Attributes:
        nodes: Names of the nodes of this package, in activation order.
        parameters: Their parameters: the parameter file, overridden by the arguments.
        topics: The topics that should carry messages, by name.
        settings: The launch arguments and what follows from them.
        controller: Topic through which setpoints reach the robot; empty when nothing is commanded.
    """

    nodes: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Value]]
    topics: Mapping[str, Expected]
    settings: Mapping[str, Value]
    controller: str

    @property
    def robot(self) -> bool:
        """Return whether a real arm is behind it."""
        return not self.settings["sim"]

    @property
    def cameras(self) -> bool:
        """Return whether part poses come from cameras."""
        return bool(self.settings["tracking"])

    def parameter(self, node: str, name: str, default: Value) -> Value:
        """Return a parameter of a node, the default where it is not set."""
        return self.parameters.get(node, {}).get(name, default)


def expect(given: Mapping[str, str], manifest: BundleManifest) -> Expectation:
    """Return what to expect for these arguments.

    Args:
        given: Launch arguments as text; those left out take their default.
        manifest: The bundle that these arguments name.

    Raises:
        ConfigError: An argument or a parameter file is not acceptable.
    """
    plan = graph.plan(given)
    settings: dict[str, Value] = {
        argument.name: argument.parse(given.get(argument.name, argument.default))
        for argument in graph.ARGUMENTS
    }
    settings.update(graph.derived_values(settings))
    nodes = tuple(launch.node.name for launch in plan.nodes)
    parameters = {launch.node.name: parameters_of(launch) for launch in plan.nodes}
    base = str(parameters["observation"].get("base_frame", "panda_link0"))
    tag = str(parameters["observation"].get("tag_frame", "tag"))
    tool_topics = parameters["observation"].get("tool_source", "topics") == "topics"
    wanted: dict[str, Expected] = {}
    for entry in topics.TOPICS:
        if _carries_messages(entry, settings, nodes):
            wanted[entry.name] = Expected(
                entry,
                entry.publisher if entry.publisher in nodes else "",
                _floor_hz(entry, manifest, settings),
                {"tag": tag, "base": base}.get(_frame_of(entry), ""),
                bool(settings["sim"]) or tool_topics or entry.name not in _TOOL,
            )
    controller = BACKEND_TOPICS[str(settings["command_backend"])] if "command" in nodes else ""
    return Expectation(nodes, parameters, wanted, settings, controller)


def parameters_of(launch: graph.NodeLaunch) -> dict[str, Value]:
    """Return the parameters that a node will be started with, defaults left out.

    Raises:
        ConfigError: The parameter file is not acceptable.
    """
    flat: dict[str, object] = {}
    for file in launch.files:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in (content or {}).values():
            _flatten(group.get("ros__parameters", {}), "", flat)
    known = by_name(launch.node.parameters)
    for name in flat:
        if name not in known and not name.startswith("qos_overrides"):
            raise ConfigError(
                f"{launch.parameter_file} sets {name!r}, which node {launch.node.name} does not "
                "have; correct the name"
            )
    read: dict[str, Value] = {
        name: known[name].check(value, str(launch.parameter_file)) if name in known else str(value)
        for name, value in flat.items()
    }
    return {**read, **launch.parameters}


def _flatten(group: Mapping[str, object], prefix: str, result: dict[str, object]) -> None:
    for key, value in group.items():
        if isinstance(value, Mapping):
            _flatten(value, f"{prefix}{key}.", result)
        else:
            result[f"{prefix}{key}"] = value


def _carries_messages(
    entry: topics.Topic, settings: Mapping[str, Value], nodes: tuple[str, ...]
) -> bool:
    """Return whether a topic must be there; command topics depend on the robot's controller."""
    kind = entry.name.split("/")[0]
    if entry.name == "clock":
        return bool(settings["simulated_time"])
    if kind == "truth":
        return bool(settings["sim"]) and settings["part_source"] == "truth"
    if kind == "camera":
        return bool(settings["tracking"])
    if kind == "parts" and entry.name.endswith("/pose"):
        return settings["part_source"] == "parts"
    if entry.quality == "command" or entry.publisher == topics.EVERY_NODE:
        return False
    return entry.name in ("joint_states", *_TOOL) or entry.publisher in nodes


def _frame_of(entry: topics.Topic) -> str:
    if entry.name.split("/")[0] in ("parts", "truth"):
        return "tag"
    return "base" if entry.name in (*_TOOL, "target_pose") else ""


def _floor_hz(
    entry: topics.Topic, manifest: BundleManifest, settings: Mapping[str, Value]
) -> float:
    """Return the least rate that keeps the policy fed; 0 where messages come on events."""
    tick_hz = _SLACK * manifest.control_rate_hz
    kind = entry.name.split("/")[0]
    if entry.name == "joint_states":
        return _SLACK * JOINT_STATE_FLOOR_HZ
    if kind == "camera":
        rates = {camera.name: camera.rate_hz for camera in shipped_cameras()}
        return tick_hz if settings["sim"] else _SLACK * rates[entry.name.split("/")[1]]
    return (
        tick_hz
        if entry.name in (*_TOOL, "policy/observation") or kind in ("parts", "truth")
        else 0.0
    )
