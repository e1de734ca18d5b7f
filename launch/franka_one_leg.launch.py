# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch file of the ``one_leg`` cell: simulated twin or robot, policy, safety gate, recorder.

It contains no knowledge of its own: arguments, nodes, parameters and conditions come from
``dppo_ros.graph``, the order of lifecycle transitions from ``dppo_ros.bringup``. The command
``dppo-ros up one_leg`` reads the same two, so the two ways to start cannot drift apart.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import partial

from launch import Action, LaunchContext, LaunchDescription
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
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from dppo_ros import graph
from dppo_ros.bringup import CONFIGURE, GOALS, BringUp, Request

RETRY_S = 5.0
TRANSITION_IDS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
}


def generate_launch_description() -> LaunchDescription:
    """Return the declared arguments, and one step that plans once their values are known."""
    arguments = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.help,
            **({"choices": list(argument.value.choices)} if argument.value.choices else {}),
        )
        for argument in graph.ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[Action]:
    """Return the actions for the values of the arguments."""
    values = {
        argument.name: LaunchConfiguration(argument.name).perform(context)
        for argument in graph.ARGUMENTS
    }
    plan = graph.plan(values)
    bringup = BringUp([launch.node.name for launch in plan.nodes])
    actions: list[Action] = [
        SetEnvironmentVariable(name, value)
        for name, value in plan.environment.items()
        if name not in context.environment
    ]
    nodes = {launch.node.name: lifecycle_node(launch) for launch in plan.nodes}
    for launch in plan.nodes:
        actions += handlers(launch, nodes, bringup)
    return [*actions, *nodes.values()]


def lifecycle_node(launch: graph.NodeLaunch) -> LifecycleNode:
    """Return the launch action of one node of the plan."""
    return LifecycleNode(
        package=graph.PACKAGE,
        executable=launch.node.executable,
        name=launch.node.name,
        namespace="",
        parameters=[str(launch.parameter_file), dict(launch.parameters)],
        arguments=["--ros-args", "--log-level", f"{launch.node.name}:={launch.log_level}"],
        respawn=launch.node.restarts > 0,
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
