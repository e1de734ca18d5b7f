# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The graph description: complete, free of contradictions, and the same as the YAML files."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

from dppo_ros import graph, qos, topics
from dppo_ros.core.aligner import required_streams
from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.parameters.model import Parameter, check_values
from dppo_ros.paths import find_bundle, ros_config, share_directory

NAMES = ["recorder", "display", "command", "policy", "observation", "sim"]
NODES = {node.name: node for node in graph.NODES}
SET_BY_PLAN = {"wait_for"}
PLANNED = {"tag", "display"}


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested parameter groups with dotted names."""
    result: dict[str, object] = {}
    for key, value in tree.items():
        result.update(
            flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return result


@pytest.mark.parametrize("name", NODES)
def test_yaml_file_holds_exactly_the_parameters_that_no_argument_sets(name: str) -> None:
    node = NODES[name]
    content = yaml.safe_load(ros_config(node.config).read_text())
    values = flat(content["/**"]["ros__parameters"])
    declared = {p.name: p.default for p in node.parameters}
    expected = set(declared) - set(node.arguments) - SET_BY_PLAN
    assert set(values) == expected
    checked = check_values(node.parameters, values, f"file {node.config}")
    assert checked == {key: declared[key] for key in expected}


def test_topics_have_known_qualities_and_unique_names() -> None:
    names = [topic.name for topic in topics.TOPICS]
    assert len(set(names)) == len(names)
    for topic in topics.TOPICS:
        assert topic.quality in qos.QUALITIES
        assert {name.split(".")[0] for name in topic.subscribers} <= {*NODES, *PLANNED}
        assert topic.publisher in {*NODES, *PLANNED, "every node", "camera"}


def test_every_observation_stream_has_a_topic() -> None:
    spec = furniture_observation_spec()
    needed = set(required_streams(spec))
    needed |= set(required_streams(spec, AlignmentSettings(from_joints=True)))
    for truth in (True, False):
        assert set(topics.stream_topics(truth)) == needed


def test_every_argument_reaches_a_node_or_decides_about_one(gentle_bundle: Path) -> None:
    used = {argument for node in graph.NODES for argument in node.arguments.values()}
    used |= {node.condition for node in graph.NODES if node.condition}
    used |= {"log_level"}
    arguments = {argument.name: argument.parse(argument.default) for argument in graph.ARGUMENTS}
    derived = set(graph.derived_values(arguments))
    # What these decide is derived from them.
    used |= {"poses", "own_cameras", "sim", "act", "extrinsics", "backend"}
    assert set(arguments) == used - derived


@pytest.mark.parametrize("name", NODES)
def test_nodes_publish_and_hear_what_the_graph_says(name: str) -> None:
    # Read from the source text: names given to advertise() and subscribe() in the node's file.
    path = importlib.util.find_spec(NODES[name].module)
    assert path is not None
    assert path.origin is not None
    said = {"advertise": set(), "subscribe": set()}
    for call in ast.walk(ast.parse(Path(path.origin).read_text())):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        if call.func.attr in said and isinstance(call.args[0], ast.Constant):
            said[call.func.attr].add(call.args[0].value)
    # One topic for each part or camera: their names are not written out in the nodes.
    each = ("truth/", "parts/", "camera/")
    published = {
        t.name for t in topics.TOPICS if t.publisher == name and not t.name.startswith(each)
    }
    assert said["advertise"] == {*published, "diagnostics"}
    if name == "recorder":
        return
    heard = {
        t.name
        for t in topics.TOPICS
        if name in {entry.split(".")[0] for entry in t.subscribers} and t.name != "clock"
    }
    streams = {t.name for truth in (True, False) for t in topics.stream_topics(truth).values()}
    if name == "observation":
        said["subscribe"] |= streams
    if name == "display":
        said["subscribe"] |= {stream for stream in streams if "/" in stream}
    if name == "tag":
        said["subscribe"] |= {entry for entry in heard if entry.startswith("camera/")}
    assert said["subscribe"] == heard


def test_plan_starts_the_robot_last_and_fills_in_what_nodes_wait_for(gentle_bundle: Path) -> None:
    given = {"bundle": str(gentle_bundle), "record": "somewhere", "seed": "7", "lockstep": "true"}
    plan = graph.plan({**given, "display": "true"})
    assert [launch.node.name for launch in plan.nodes] == NAMES
    values = {launch.node.name: launch.parameters for launch in plan.nodes}
    assert values["sim"]["seed"] == values["policy"]["seed"] == 7
    assert values["command"]["bundle"] == str(gentle_bundle)
    assert values["sim"]["use_sim_time"] is False
    assert values["policy"]["use_sim_time"] is True
    assert (
        values["sim"]["wait_for"] == "recorder,display,command,policy,observation,observation.truth"
    )
    assert Path(str(values["recorder"]["path"])).is_absolute()


def test_plan_for_a_robot_has_no_twin_and_no_simulated_time(gentle_bundle: Path) -> None:
    plan = graph.plan({"bundle": str(gentle_bundle), "sim": "false"})
    names = [launch.node.name for launch in plan.nodes]
    assert [name for name in names if name != "tag"] == [
        "command", "policy", "observation", "camera_right", "camera_left"
    ]  # fmt: skip
    assert plan.nodes[-1].parameters["camera"] == "left"
    assert plan.nodes[-1].parameters["source"] == "device"
    values = {launch.node.name: launch.parameters for launch in plan.nodes}
    assert values["command"]["enabled_on_activate"] is False
    assert not any(value["use_sim_time"] for value in values.values())
    assert values["observation"]["part_source"] == "parts"


def test_twin_in_real_time_keeps_the_time_of_day(gentle_bundle: Path) -> None:
    for changed, simulated in (
        ({}, False), ({"real_time_factor": "0"}, True), ({"lockstep": "true"}, True)
    ):  # fmt: skip
        plan = graph.plan({"bundle": str(gentle_bundle), **changed})
        values = {launch.node.name: launch.parameters for launch in plan.nodes}
        assert values["sim"]["simulated_time"] is simulated
        assert values["command"]["use_sim_time"] is simulated


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sede": "3"}, "unknown argument 'sede'; did you mean 'seed'"),
        ({"seed": "three"}, "seed of the launch arguments is 'three'; it must be an integer"),
        ({"seed": "-1"}, "must lie between 0 and"),
        ({"randomness": "high"}, "choose one of low, med"),
        ({"lockstep": "perhaps"}, "must be a boolean"),
        ({"real_time_factor": "1e9"}, "must lie between 0 and 100"),
        ({"sim": "false", "poses": "truth"}, "a robot has no simulator to ask"),
        ({"backend": "joint_trajectory"}, "sim is true: a robot's controller would be sent"),
        ({"sim": "false", "backend": "twin"}, "choose the robot's: auto, joint_trajectory, joint"),
        ({"sim": "false", "lockstep": "true"}, "a robot does not wait for its setpoints"),
        ({"bundle": "no_such_bundle"}, "no policy bundle at 'no_such_bundle'"),
    ],
)
def test_bad_arguments_give_one_sentence(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        graph.plan(given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parameter_types_are_strict_but_whole_numbers_may_be_floats() -> None:
    number = Parameter("x", 1.0, "", 0.0, 2.0)
    assert number.check(2, "test") == 2.0
    for wrong in ("1", True, None, [1.0], float("nan"), 3.0):
        with pytest.raises(ConfigError):
            number.check(wrong, "test")
    flag = Parameter("y", True, "")
    with pytest.raises(ConfigError):
        flag.check(1, "test")


def test_share_directory_is_found_in_checkout_ament_overlay_and_plain_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = share_directory()
    assert (checkout / "config" / "ros").is_dir()
    overlay = tmp_path / "overlay" / "share" / "dppo_ros"
    (overlay / "config" / "ros").mkdir(parents=True)
    elsewhere = tmp_path / "site-packages" / "dppo_ros" / "paths.py"
    monkeypatch.setattr("dppo_ros.paths.__file__", str(elsewhere))
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "overlay"))
    assert share_directory() == overlay
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    monkeypatch.setattr("sys.prefix", str(tmp_path / "overlay"))
    assert share_directory() == overlay


def test_bundle_is_found_by_path_and_by_shipped_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "config" / "bundles" / "mine"
    shipped.mkdir(parents=True)
    (tmp_path / "config" / "ros").mkdir()
    monkeypatch.setattr("dppo_ros.paths.__file__", str(tmp_path / "dppo_ros" / "paths.py"))
    assert find_bundle("mine") == shipped.resolve()
    assert find_bundle(str(shipped)) == shipped.resolve()
    with pytest.raises(ConfigError, match=r"shipped bundle \(mine\)"):
        find_bundle("")
