# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files ask for exactly what ``graph.plan`` says: they cannot drift from ``up``.

With the real ``launch`` and ``launch_ros`` installed they are loaded with those. pip has neither;
there they run against recording stand-ins which accept only the keywords that upstream's
classes have in Humble and Jazzy. That proves what they ask for, not what launch does with it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias

import pytest

from dppo_ros import graph, supervisor
from dppo_ros.paths import share_directory

Asked: TypeAlias = Any  # a recorded call; what it holds depends on the class called
LAUNCH_FILES = sorted((share_directory() / "launch").glob("*.launch.py"))
REQUIRED = object()
HAVE_LAUNCH = importlib.util.find_spec("launch_ros") is not None

UPSTREAM_KEYWORDS = {
    "launch.actions": {
        "DeclareLaunchArgument": {"default_value", "description", "choices"},
        "EmitEvent": {"event"},
        "OpaqueFunction": {"function", "args", "kwargs"},
        "RegisterEventHandler": set(),
        "SetEnvironmentVariable": {"name", "value"},
        "Shutdown": {"reason"},
        "TimerAction": {"period", "actions"},
    },
    "launch.event_handlers": {
        "OnProcessExit": {"target_action", "on_exit"},
        "OnProcessStart": {"target_action", "on_start"},
    },
    "launch.substitutions": {"LaunchConfiguration": {"default"}},
    "launch_ros.actions": {
        "LifecycleNode": {
            "package", "executable", "name", "namespace", "parameters", "remappings", "arguments",
            "respawn", "respawn_delay", "output", "sigterm_timeout", "sigkill_timeout",
            "emulate_tty", "condition", "prefix",
        },
        "Node": {"package", "executable", "name", "parameters", "output"},
    },
    "launch_ros.parameter_descriptions": {"ParameterValue": {"value_type"}},
    "launch_ros.event_handlers": {
        "OnStateTransition": {
            "target_lifecycle_node", "start_state", "goal_state", "transition", "entities",
        },
    },
    "launch_ros.events.lifecycle": {"ChangeState": {"lifecycle_node_matcher", "transition_id"}},
}  # fmt: skip


class Recorded:
    """What the launch file constructed: class name, positional and keyword arguments."""

    kind = ""
    allowed: frozenset[str] = frozenset()

    def __init__(self, *args: object, **kwargs: object) -> None:
        unknown = set(kwargs) - self.allowed
        if unknown:
            raise TypeError(f"{self.kind} has no keyword {sorted(unknown)}")
        self.args: tuple[Asked, ...] = args
        self.kwargs: dict[str, Asked] = kwargs

    def perform(self, context: SimpleNamespace) -> str:
        return context.values[self.args[0]]

    def call(self, context: SimpleNamespace) -> list[Asked]:
        return self.kwargs["function"](context)


def stand_ins() -> dict[str, ModuleType]:
    """Return recording modules in place of launch and launch_ros."""
    modules: dict[str, ModuleType] = {}
    for name in ("launch", "launch_ros", "launch_ros.events", *UPSTREAM_KEYWORDS):
        modules[name] = ModuleType(name)
    launch = modules["launch"]
    launch.Action = launch.LaunchContext = object  # type: ignore[attr-defined]
    launch.LaunchDescription = list  # type: ignore[attr-defined]
    for module, classes in UPSTREAM_KEYWORDS.items():
        for name, allowed in classes.items():
            values = {"kind": name, "allowed": frozenset(allowed)}
            setattr(modules[module], name, type(name, (Recorded,), values))
    return modules


def load_launch_file(name: str) -> ModuleType:
    (path,) = [path for path in LAUNCH_FILES if path.name == f"{name}.launch.py"]
    spec = importlib.util.spec_from_file_location(f"{name}_launch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return what the launch files share, loaded with the stand-ins."""
    pytest.importorskip("lifecycle_msgs.msg")
    for name, module in stand_ins().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "dppo_ros.launching", raising=False)
    made = importlib.import_module("dppo_ros.launching")
    # Whoever comes after this test must not get the stand-ins.
    monkeypatch.setitem(sys.modules, "dppo_ros.launching", made)
    return made


def ask(launching: ModuleType, given: dict[str, str]) -> list[Asked]:
    """Return what the launch file asks for when it is given these arguments."""
    declared = {argument.name: argument.default for argument in graph.ARGUMENTS}
    context = SimpleNamespace(values={**declared, **given}, environment={}, is_shutdown=False)
    return launching.start(context, {})


def of_kind(actions: list[Asked], kind: str) -> list[Asked]:
    return [action for action in actions if action.kind == kind]


def declared(entries: list[Asked]) -> dict[str, object]:
    """Return the default of every declared argument; REQUIRED for those without."""
    return {entry.args[0]: entry.kwargs.get("default_value", REQUIRED) for entry in entries}


def test_declared_arguments_are_those_of_the_graph(launching: ModuleType) -> None:
    module = load_launch_file("franka_one_leg")
    *entries, start = module.generate_launch_description()
    assert start.kind == "OpaqueFunction"
    assert declared(entries) == {entry.name: entry.default for entry in graph.ARGUMENTS}
    for entry, argument in zip(entries, graph.ARGUMENTS, strict=True):
        assert entry.kwargs.get("choices", []) == list(argument.value.choices)


@pytest.mark.parametrize(
    ("name", "given", "nodes", "hidden"),
    [
        ("perception", {"sim": "false", "own_cameras": "false"}, {"observation"}, {"act", "poses"}),
        ("replay", {"replay": "bag"}, {"observation", "policy", "player"}, {"sim", "act"}),
    ],
)
def test_partial_launch_files_start_their_part_and_command_nothing(
    launching: ModuleType, gentle_bundle: Path, name: str, given: dict[str, str],
    nodes: set[str], hidden: set[str],
) -> None:  # fmt: skip
    module = load_launch_file(name)
    *entries, start = module.generate_launch_description()
    offered = declared(entries)
    assert not hidden & set(offered)
    assert ("replay" in offered) == (name == "replay")
    if name == "replay":
        assert offered["replay"] is REQUIRED
    values = {**offered, "bundle": str(gentle_bundle), **given}
    context = SimpleNamespace(values=values, environment={}, is_shutdown=False)
    actions = start.kwargs["function"](context)
    started = {node.kwargs["name"] for node in of_kind(actions, "LifecycleNode")}
    assert nodes <= started
    assert not started & {"command", "sim"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"record": "bag"},
        {"sim": "false"},
        {"sim": "false", "record": "bag", "log_level": "debug"},
        {"seed": "12", "randomness": "med", "lockstep": "true", "real_time_factor": "0"},
    ],
)
def test_launch_file_and_dppo_ros_up_start_the_same(
    launching: ModuleType, gentle_bundle: Path, given: dict[str, str]
) -> None:
    given = {**given, "bundle": str(gentle_bundle)}
    plan = graph.plan(given)
    actions = ask(launching, given)
    nodes = of_kind(actions, "LifecycleNode")
    assert len(nodes) == len(plan.nodes)
    for node, expected in zip(nodes, plan.nodes, strict=True):
        asked = node.kwargs
        assert asked["package"] == "dppo_ros"
        assert asked["executable"] == expected.node.executable
        assert asked["name"] == expected.node.name
        *files, overrides = asked["parameters"]
        assert overrides == expected.parameters
        assert files == [str(file) for file in expected.files]
        assert asked["respawn"] is (expected.node.restarts > 0)
        command = supervisor.command_line(expected, Path("overrides.yaml"))
        assert expected.node.module in command
        assert set(files) <= set(command)
        assert asked["arguments"][-1] in command
    environment = {action.args for action in of_kind(actions, "SetEnvironmentVariable")}
    assert environment == set(plan.environment.items())


def test_transitions_of_the_launch_file_follow_the_bring_up(
    launching: ModuleType, gentle_bundle: Path
) -> None:
    actions = ask(launching, {"bundle": str(gentle_bundle), "record": "bag"})
    nodes = {node.kwargs["name"]: node for node in of_kind(actions, "LifecycleNode")}
    handlers = [action.args[0] for action in of_kind(actions, "RegisterEventHandler")]
    context = SimpleNamespace(is_shutdown=False)
    log: list[tuple[str, str]] = []

    def names_of(emitted: list[Asked]) -> list[tuple[str, int]]:
        result = []
        for action in emitted:
            event = action.kwargs["event"]
            matches = event.kwargs["lifecycle_node_matcher"]
            (name,) = [name for name, node in nodes.items() if matches(node)]
            result.append((name, event.kwargs["transition_id"]))
        return result

    def reach(name: str, start: str, goal: str) -> list[tuple[str, int]]:
        (handler,) = [
            h
            for h in of_kind(handlers, "OnStateTransition")
            if h.kwargs["target_lifecycle_node"] is nodes[name]
            and (h.kwargs["start_state"], h.kwargs["goal_state"]) == (start, goal)
        ]
        return names_of(handler.kwargs["entities"][0].call(context))

    for handler in of_kind(handlers, "OnProcessStart"):
        started = names_of(handler.kwargs["on_start"][0].call(context))
        log += [(name, "configure") for name, number in started if number == 1]
    assert log == [(name, "configure") for name in nodes]
    order = list(nodes)
    waiting = [request for name in order for request in reach(name, "configuring", "inactive")]
    activated = []
    while waiting:
        (request,) = waiting
        assert request[1] == 3
        activated.append(request[0])
        waiting = reach(request[0], "activating", "active")
    assert activated == order


def test_restarted_node_is_asked_again_until_it_is_back(
    launching: ModuleType, gentle_bundle: Path
) -> None:
    actions = ask(launching, {"bundle": str(gentle_bundle)})
    (node,) = [n for n in of_kind(actions, "LifecycleNode") if n.kwargs["name"] == "policy"]
    handlers = [action.args[0] for action in of_kind(actions, "RegisterEventHandler")]
    (on_start,) = [
        h for h in of_kind(handlers, "OnProcessStart") if h.kwargs["target_action"] is node
    ]
    context = SimpleNamespace(is_shutdown=False)
    start = on_start.kwargs["on_start"][0]
    assert [action.kind for action in start.call(context)] == ["EmitEvent"]
    (reached,) = [
        h.kwargs["entities"][0]
        for h in of_kind(handlers, "OnStateTransition")
        if h.kwargs["target_lifecycle_node"] is node and h.kwargs["goal_state"] == "active"
    ]
    reached.call(context)
    again = start.call(context)
    assert [action.kind for action in again] == ["EmitEvent", "TimerAction"]
    timer = again[1].kwargs["actions"][0]
    assert [action.kind for action in timer.call(context)] == ["EmitEvent", "TimerAction"]
    reached.call(context)
    assert timer.call(context) == []


def test_refusal_and_death_end_the_launch(launching: ModuleType, gentle_bundle: Path) -> None:
    actions = ask(launching, {"bundle": str(gentle_bundle)})
    handlers = [action.args[0] for action in of_kind(actions, "RegisterEventHandler")]
    refusals = [
        h
        for h in of_kind(handlers, "OnStateTransition")
        if (h.kwargs["start_state"], h.kwargs["goal_state"])
        in {("configuring", "unconfigured"), ("activating", "inactive")}
    ]
    allowed = {node.name: node.restarts for node in graph.NODES}
    assert len(refusals) == 2 * len(of_kind(handlers, "OnProcessExit"))
    assert all(h.kwargs["entities"][0].kind == "Shutdown" for h in refusals)
    context = SimpleNamespace(is_shutdown=False)
    for handler in of_kind(handlers, "OnProcessExit"):
        restarts = allowed[handler.kwargs["target_action"].kwargs["name"]]
        exits = [handler.kwargs["on_exit"][0].call(context) for _ in range(restarts + 1)]
        assert exits[:-1] == [[]] * restarts
        assert [action.kind for action in exits[-1]] == ["Shutdown"]


def test_robot_model_is_published_where_the_program_for_it_is_installed(
    launching: ModuleType, gentle_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"bundle": str(gentle_bundle), "display": "true", "robot": "fr3"}
    assert not of_kind(ask(launching, given), "Node")
    monkeypatch.setattr(launching, "get_package_prefix", lambda name: "somewhere")
    (node,) = of_kind(ask(launching, given), "Node")
    (parameters,) = node.kwargs["parameters"]
    assert "fr3_link0" in parameters["robot_description"].args[0]
    assert not of_kind(ask(launching, {**given, "display": "false"}), "Node")


@pytest.mark.skipif(not HAVE_LAUNCH, reason="launch_ros is not installed (pip has no launch)")
@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_real_launch_loads_the_files(path: Path, gentle_bundle: Path) -> None:
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch_ros.actions import LifecycleNode

    context = LaunchContext()
    context.launch_configurations["bundle"] = str(gentle_bundle)
    context.launch_configurations["replay"] = "" if "replay" not in path.name else "bag"
    description = load_launch_file(path.name.removesuffix(".launch.py"))
    actions = []
    for entity in description.generate_launch_description().entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
        elif isinstance(entity, OpaqueFunction):
            actions += entity.execute(context) or []
    assert [action for action in actions if isinstance(action, LifecycleNode)]
