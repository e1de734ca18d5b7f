# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The graph as actions of ``launch``: what the launch files of this package have in common.

It contains no knowledge of its own: arguments, nodes, parameters and conditions come from
``dppo_ros.graph``, the order of lifecycle transitions from ``dppo_ros.bringup``. The command
``dppo-ros up`` reads the same two, so the two ways to start cannot drift apart. Imported by launch
files only; the rest of the package does without ``launch``.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from functools import partial

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import (  # type: ignore[attr-defined]  # our folder of that name has no code
    Action,
    LaunchContext,
    LaunchDescription,
)
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from dppo_ros import graph
from dppo_ros.bringup import CONFIGURE, GOALS, BringUp, Request
from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.description import robot_description
from dppo_ros.paths import PACKAGE
from dppo_ros.shared_memory import removal_line, remove_abandoned

RETRY_S = 5.0
STATE_PUBLISHER = "robot_state_publisher"
TRANSITION_IDS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
}


def describe(
    defaults: Mapping[str, str] | None = None, required: Collection[str] = (), **fixed: str
) -> LaunchDescription:
    """Return the declared arguments, and one step that plans once their values are known.

    Args:
        defaults: Defaults that differ from those of the graph.
        required: Arguments that must be given.
        fixed: Arguments that this launch file decides; they are not offered.
    """
    arguments = []
    for argument in graph.ARGUMENTS:
        if argument.name in fixed:
            continue
        options: dict[str, object] = {"description": argument.help}
        if argument.name not in required:
            options["default_value"] = (defaults or {}).get(argument.name, argument.default)
        if argument.value.choices:
            options["choices"] = list(argument.value.choices)
        arguments.append(DeclareLaunchArgument(argument.name, **options))
    return LaunchDescription([*arguments, OpaqueFunction(function=partial(start, fixed=fixed))])


def start(context: LaunchContext, fixed: Mapping[str, str]) -> list[Action]:
    """Return the actions for the values of the arguments.

    Args:
        context: Holds the values that were given.
        fixed: Values that the launch file decides.
    """
    values = {
        argument.name: LaunchConfiguration(argument.name).perform(context)
        for argument in graph.ARGUMENTS
        if argument.name not in fixed
    }
    plan = graph.plan({**values, **fixed})
    if left_behind := removal_line(*remove_abandoned()):
        print(left_behind)
    bringup = BringUp([launch.node.name for launch in plan.nodes])
    actions: list[Action] = [
        SetEnvironmentVariable(name, value)
        for name, value in plan.environment.items()
        if name not in context.environment
    ]
    nodes = {launch.node.name: lifecycle_node(launch) for launch in plan.nodes}
    for launch in plan.nodes:
        actions += handlers(launch, nodes, bringup)
    return [*actions, *nodes.values(), *robot_model({**values, **fixed})]


def robot_model(values: Mapping[str, str]) -> list[Node]:
    """Return robot_state_publisher for the display, where it is installed; the graph needs none."""
    try:
        get_package_prefix(STATE_PUBLISHER)
        wanted = values["display"] == "true"
        text = robot_description(values["robot"]) if wanted else ""
    except (PackageNotFoundError, EnvironmentUnavailableError, OSError):  # OSError: no index
        return []
    if not wanted:
        return []
    return [
        Node(
            package=STATE_PUBLISHER,
            executable=STATE_PUBLISHER,
            name=STATE_PUBLISHER,
            # Given as text it would be read as YAML where it looks like it.
            parameters=[{"robot_description": ParameterValue(text, value_type=str)}],
            output="screen",
        )
    ]


def lifecycle_node(launch: graph.NodeLaunch) -> LifecycleNode:
    """Return the launch action of one node of the plan."""
    return LifecycleNode(
        package=PACKAGE,
        executable=launch.node.executable,
        name=launch.node.name,
        namespace="",
        parameters=[*map(str, launch.files), dict(launch.parameters)],
        remappings=list(launch.remappings),
        arguments=["--ros-args", "--log-level", f"{launch.node.name}:={launch.log_level}"],
        respawn=launch.node.restarts > 0,
        sigterm_timeout=f"{launch.node.grace_s:g}",
        sigkill_timeout=f"{launch.node.grace_s:g}",
        output="screen",
        emulate_tty=False,
    )


def handlers(
    launch: graph.NodeLaunch, nodes: Mapping[str, LifecycleNode], bringup: BringUp
) -> list[Action]:
    """Return the event handlers that bring one node up and end the run with it."""
    name = launch.node.name
    node = nodes[name]

    def ask(requests: list[Request]) -> list[Action]:
        return [
            EmitEvent(
                event=ChangeState(
                    lifecycle_node_matcher=partial(operator.is_, nodes[request.node]),
                    transition_id=TRANSITION_IDS[request.transition],
                )
            )
            for request in requests
        ]

    def on_start(context: LaunchContext) -> list[Action]:
        return [*ask(bringup.started(name)), *repeat(context)]

    def repeat(context: LaunchContext, due: bool = False) -> list[Action]:
        """Ask a restarted node again until it has come back; see ``BringUp.overdue``."""
        overdue = bringup.overdue(name)
        if not overdue or context.is_shutdown:
            return []
        later = OpaqueFunction(function=partial(repeat, due=True))
        return [*(ask(overdue) if due else []), TimerAction(period=RETRY_S, actions=[later])]

    def on_exit(context: LaunchContext) -> list[Action]:
        exits.append(name)
        over = len(exits) > launch.node.restarts and not context.is_shutdown
        return [Shutdown(reason=f"node {name} ended")] if over else []

    def on_state(context: LaunchContext, state: str) -> list[Action]:
        return ask(bringup.reached(name, state))

    exits: list[str] = []
    registered = [
        OnProcessStart(target_action=node, on_start=[OpaqueFunction(function=on_start)]),
        OnProcessExit(target_action=node, on_exit=[OpaqueFunction(function=on_exit)]),
    ]
    for transition, state in GOALS.items():
        verb = "configuring" if transition == CONFIGURE else "activating"
        before = "unconfigured" if transition == CONFIGURE else "inactive"
        registered += [
            OnStateTransition(
                target_lifecycle_node=node,
                start_state=verb,
                goal_state=state,
                entities=[OpaqueFunction(function=partial(on_state, state=state))],
            ),
            OnStateTransition(
                target_lifecycle_node=node,
                start_state=verb,
                goal_state=before,
                entities=[Shutdown(reason=f"node {name} refused to {transition}")],
            ),
        ]
    return [RegisterEventHandler(handler) for handler in registered]
