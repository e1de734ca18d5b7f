# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one description of the running system: nodes, arguments, start-up order; see also ``topics``.

``dppo-ros up``, the launch file, the recorder and the nodes all read it; nothing about the graph
is written down a second time. Pure Python: no rclpy, no launch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dppo_ros.cameras import shipped_cameras
from dppo_ros.contradictions import refuse_contradictions
from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.parameters.camera import CAMERA
from dppo_ros.parameters.command import BACKENDS, COMMAND, SAFETY
from dppo_ros.parameters.display import DISPLAY
from dppo_ros.parameters.model import Parameter, Value, by_name, check_values
from dppo_ros.parameters.observation import OBSERVATION
from dppo_ros.parameters.player import PLAYER
from dppo_ros.parameters.policy import POLICY
from dppo_ros.parameters.recorder import RECORDER
from dppo_ros.parameters.sim import SIM
from dppo_ros.parameters.tag import TAG
from dppo_ros.paths import PACKAGE, find_bundle, ros_config, share_directory


@dataclass(frozen=True)
class Argument:
    """A deployment setting, an argument of the launch file and an option of ``dppo-ros up``.

    Attributes:
        value: Name, type, default, description and range.
    """

    value: Parameter

    @property
    def name(self) -> str:
        """Return the name."""
        return self.value.name

    @property
    def default(self) -> str:
        """Return the default as launch text."""
        return _to_text(self.value.default)

    @property
    def help(self) -> str:
        """Return one line for people, with what is allowed."""
        return f"{self.value.description}{self.value.allowed()}"

    def parse(self, text: str) -> Value:
        """Return the value of what a user typed.

        Raises:
            ConfigError: It is not of the type of the argument or out of range.
        """
        return self.value.check(_from_text(text, self.value.default), "the launch arguments")


_SIM, _POLICY, _COMMAND = by_name(SIM), by_name(POLICY), by_name(COMMAND)
ARGUMENTS: tuple[Argument, ...] = tuple(
    Argument(value)
    for value in (
        Parameter("sim", True, "start the simulated cell; false expects a robot's own driver"),
        Parameter("bundle", "one_leg_low", "folder or shipped name of the policy bundle"),
        Parameter("record", "", "folder for the bag of this run; empty records nothing"),
        Parameter(
            "record_mode",
            "all",
            "all: one bag; split: one for each episode; ring: the last seconds, when asked to",
            choices=by_name(RECORDER)["mode"].choices,
        ),
        Parameter("record_images", False, "record the pictures of the cameras as well"),
        Parameter(
            "replay",
            "",
            "bag to play in place of robot or twin; nothing is commanded then",
        ),
        Parameter("act", True, "start policy and command node; false only observes"),
        _SIM["randomness"],
        _SIM["seed"],
        _SIM["real_time_factor"],
        _SIM["lockstep"],
        _SIM["max_episode_steps"],
        Parameter(
            "poses",
            "auto",
            "where part poses come from: the simulator, the cameras, or a tracker of your own on "
            "parts/*; auto takes the simulator in the twin and the cameras on a robot",
            choices=("auto", "truth", "cameras", "external"),
        ),
        Parameter(
            "extrinsics",
            "auto",
            "where the cameras are: as calibrated (file), as config/cameras.yaml has it (nominal) "
            "or measured on the base tags at the start; auto: nominal in the twin, else the file",
            choices=("auto", "file", "nominal", "tags"),
        ),
        Parameter(
            "own_cameras",
            True,
            "on a robot, start this package's camera nodes; false expects "
            "another driver, such as realsense2_camera",
        ),
        _POLICY["execution"],
        _COMMAND["robot"],
        Parameter(
            "backend",
            "auto",
            "how setpoints reach the robot; auto: the twin in simulation, else a "
            "joint_trajectory_controller",
            choices=("auto", *BACKENDS),
        ),
        Parameter("camera_source", "device", by_name(CAMERA)["source"].description),
        Parameter("display", False, "start the node that draws markers for RViz and Foxglove"),
        Parameter("exit_on_end", True, "shut everything down when the episode ends"),
        Parameter("log_level", "info", "log level", choices=("debug", "info", "warn", "error")),
    )
)
"""Every argument, in the order in which help lists them."""


@dataclass(frozen=True)
class NodeSpec:
    """A node of the graph.

    Attributes:
        name: Node name.
        executable: Console script and ``ros2 run`` name.
        parameters: What it declares.
        arguments: Which argument sets which parameter, by parameter name.
        condition: Argument that must be true, or not empty, for the node to start; empty: always.
        restarts: How often it is started again when its process dies.
        ends_run: Whether the end of its process is the end of the run.
        program: Module in ``dppo_ros.nodes`` and parameter file; empty: those of its name.
        grace_s: How long its process may take to end when it is asked to (s).
    """

    name: str
    executable: str
    parameters: tuple[Parameter, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    restarts: int = 0
    ends_run: bool = False
    program: str = ""
    grace_s: float = 10.0

    @property
    def module(self) -> str:
        """Return the Python module of the executable."""
        return f"{PACKAGE}.nodes.{self.program or self.name}"

    @property
    def config(self) -> str:
        """Return the name of its parameter file in ``config/ros``."""
        return f"{self.program or self.name}.yaml"


NODES: tuple[NodeSpec, ...] = (
    NodeSpec(
        "recorder", "recorder_node", RECORDER,
        {
            "path": "record", "mode": "record_mode", "images": "record_images", "bundle": "bundle",
            "seed": "seed", "randomness": "randomness",
        },
        condition="record", grace_s=60.0,
    ),
    NodeSpec("display", "display_node", DISPLAY, condition="display", restarts=2),
    NodeSpec(
        "command", "command_node", (*COMMAND, *SAFETY),
        {"bundle": "bundle", "enabled_on_activate": "sim", "lockstep": "lockstep",
         "backend": "command_backend", "robot": "robot"},
        condition="commanding", restarts=1,
    ),
    NodeSpec(
        "policy", "policy_node", POLICY,
        {"bundle": "bundle", "seed": "seed", "execution": "execution"},
        condition="planning", restarts=2,
    ),
    NodeSpec(
        "observation", "observation_node", OBSERVATION,
        {"bundle": "bundle", "part_source": "part_source"}, restarts=2,
    ),
    NodeSpec(
        "tag", "tag_node", TAG, {"extrinsics": "extrinsics_source"}, condition="tracking",
        restarts=2,
    ),
    NodeSpec(
        "player", "player_node", PLAYER,
        {"path": "replay", "speed": "real_time_factor", "track_anew": "tracking"},
        condition="replay", ends_run=True,
    ),
    *(
        NodeSpec(
            f"camera_{camera.name}", "camera_node", CAMERA,
            {"camera": f"camera.{camera.name}", "source": "camera_source"},
            condition="camera_nodes", restarts=5, program="camera",
        )
        for camera in shipped_cameras()
    ),
    NodeSpec(
        "sim", "sim_node", SIM,
        {**{name: name for name in (
            "randomness", "seed", "real_time_factor", "lockstep", "max_episode_steps",
            "exit_on_end", "simulated_time",
        )}, "cameras": "sim_cameras"},
        condition="simulating", ends_run=True,
    ),
)  # fmt: skip
"""Every node, in the order in which they are activated: the robot side moves last."""


HARDWARE = "hardware.yaml"
"""Parameter file that all nodes read where a real robot is behind the topics."""

CLOCKS = ("sim", "player")
"""Nodes that may publish ``/clock`` and therefore never follow it."""


@dataclass(frozen=True)
class NodeLaunch:
    """Everything that is needed to start one node.

    Attributes:
        node: Which node.
        parameter_file: YAML file with its defaults.
        parameters: Values that override the file.
        log_level: Log level.
        remappings: Pairs of topic names, what the node calls it and what it is called.
        extra_file: YAML file read after ``parameter_file``; None for none.
    """

    node: NodeSpec
    parameter_file: Path
    parameters: dict[str, Value]
    log_level: str
    remappings: tuple[tuple[str, str], ...] = ()
    extra_file: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the parameter files in the order in which they are read."""
        extra = () if self.extra_file is None else (self.extra_file,)
        return (self.parameter_file, *extra)


@dataclass(frozen=True)
class Plan:
    """What to start, for given arguments.

    Attributes:
        nodes: The nodes, in activation order.
        environment: Variables to set for every process unless they are set already.
    """

    nodes: tuple[NodeLaunch, ...]
    environment: Mapping[str, str]


def plan(given: Mapping[str, str]) -> Plan:
    """Return what to start for these arguments, after checking every value.

    Args:
        given: Arguments as text; those left out take their default.

    Raises:
        ConfigError: An unknown argument, a bad value, or a bundle that is not there.
    """
    known = {argument.name: argument for argument in ARGUMENTS}
    for name in given:
        if name not in known:
            raise ConfigError(unknown_name_message("argument", name, known))
    values: dict[str, Value] = {
        name: argument.parse(given.get(name, argument.default)) for name, argument in known.items()
    }
    values["bundle"] = str(find_bundle(str(values["bundle"])))
    for name in ("record", "replay"):
        if values[name]:
            values[name] = str(Path(str(values[name])).expanduser().absolute())
    values.update(derived_values(values))
    nodes = []
    for node in NODES:
        if node.condition and not values[node.condition]:
            continue
        overrides: dict[str, Value] = {
            parameter: values[argument] for parameter, argument in node.arguments.items()
        }
        checked = check_values(node.parameters, overrides, f"node {node.name}")
        # Only followers of /clock use simulated time; the node that publishes it must not.
        checked["use_sim_time"] = bool(values["simulated_time"]) and node.name not in CLOCKS
        extra = ros_config(HARDWARE) if values["on_robot"] else None
        level = str(values["log_level"])
        nodes.append(NodeLaunch(node, ros_config(node.config), checked, level, extra_file=extra))
    names = [launch.node.name for launch in nodes]
    for launch in nodes:
        others = [name for name in names if name != launch.node.name]
        if "observation" in others:
            others.append(f"observation.{values['part_source']}")
        launch.parameters["wait_for"] = ",".join(others)
    return Plan(tuple(nodes), environment())


def derived_values(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return what follows from the arguments and is itself named in ``NODES``.

    Args:
        values: Checked values of all arguments.

    Raises:
        ConfigError: Values that contradict each other, such as true poses without a simulator.
    """
    replay, act = bool(values["replay"]), bool(values["act"])
    sim, poses = bool(values["sim"]) and not replay, str(values["poses"])
    if poses == "auto":
        poses = "truth" if sim else "external" if replay else "cameras"
    if not replay:
        refuse_contradictions(
            sim, poses, str(values["backend"]) if act else "auto", bool(values["lockstep"])
        )
    as_a_robot = float(values["real_time_factor"]) == 1.0 and not values["lockstep"]  # type: ignore[arg-type]
    return {
        "part_source": "truth" if poses == "truth" else "parts",
        "tracking": poses == "cameras",
        "extrinsics_source": str(values["extrinsics"]).replace(
            "auto", "nominal" if sim else "file"
        ),
        "command_backend": str(values["backend"]).replace(
            "auto", "twin" if sim else "joint_trajectory"
        ),
        "sim_cameras": poses == "cameras" and sim,
        "camera_nodes": poses == "cameras" and not (sim or replay) and bool(values["own_cameras"]),
        **{f"camera.{camera.name}": camera.name for camera in shipped_cameras()},
        # In real time the twin keeps the time of day, like a robot; otherwise all follow /clock.
        "simulated_time": replay or (sim and not as_a_robot),
        "simulating": sim,
        "on_robot": not sim and not replay,
        "planning": act or replay,
        "commanding": act and not replay,
    }


def environment() -> dict[str, str]:
    """Return the variables that keep every process on this machine and let pictures through.

    Humble knows only the older of the two localhost variables; later releases warn about it. The
    name of the profile variable changed in Kilted; each release ignores the other.
    """
    profile = str(share_directory() / "config" / "fastdds_shm.xml")
    profiles = {
        "FASTRTPS_DEFAULT_PROFILES_FILE": profile,
        "FASTDDS_DEFAULT_PROFILES_FILE": profile,
    }
    if os.environ.get("ROS_DISTRO") == "humble":
        return {"ROS_LOCALHOST_ONLY": "1", **profiles}
    return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", **profiles}


def _to_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_text(text: str, default: Value) -> object:
    """Return the text in the type of the default where it can be read so, else the text."""
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if isinstance(default, (int, float)):
        try:
            return type(default)(text)
        except ValueError:
            return text
    return text
