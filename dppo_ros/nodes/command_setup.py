# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""State machine, gates and motion of the command node, from its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dppo_ros import messages
from dppo_ros.control.gate import Workspace
from dppo_ros.control.limits import Robot
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.command_state import CommanderSettings, MeasuredJoints
from dppo_ros.core.commander import Commander
from dppo_ros.core.errors import SafetyError
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.safety import SafetyGate
from dppo_ros.parameters.command import SAFETY, safety_limits

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode

BOX_MARGIN_M = 0.02
"""How far a setpoint may overshoot the box that goals are clamped into."""
_REHEARSED_CYCLES = 20


def build_motion(node: ManagedNode, robot: Robot) -> MotionPipeline:
    """Return generator and gate for a robot.

    Raises:
        SafetyError: The workspace box is none.
    """
    values = {parameter.name: node.setting(parameter.name) for parameter in SAFETY}
    limits = safety_limits(values, 0.1)
    workspace = Workspace(
        tuple(value - BOX_MARGIN_M for value in limits.workspace_minimum_m),
        tuple(value + BOX_MARGIN_M for value in limits.workspace_maximum_m),
    )
    return MotionPipeline(robot, workspace, node.number("max_measured_age_s"))


def build_commander(
    node: ManagedNode, manifest: BundleManifest, motion: MotionPipeline
) -> Commander:
    """Return the state machine for a bundle.

    Raises:
        SafetyError: The limits contradict each other or the bundle, or lockstep a real robot.
    """
    if node.flag("lockstep") and node.text("backend") != "twin":
        raise SafetyError(
            f"lockstep is true and backend is {node.text('backend')!r}; only the twin waits for "
            "its setpoints: set lockstep to false"
        )
    period_ns = manifest.control_period_ns
    values = {parameter.name: node.setting(parameter.name) for parameter in SAFETY}
    limits = safety_limits(values, period_ns * 1e-9)
    if limits.max_observation_age_s < manifest.act_steps * period_ns * 1e-9:
        raise SafetyError(
            f"safety.max_observation_age_s is {limits.max_observation_age_s:g}, but the last "
            f"of {manifest.act_steps} actions of bundle {manifest.name!r} starts "
            f"{(manifest.act_steps - 1) * period_ns * 1e-9:g} s after its observation; set it "
            "to the length of a chunk or more"
        )
    settings = CommanderSettings(
        control_period_ns=period_ns,
        cycle_ns=messages.seconds_to_ns(1.0 / node.number("setpoint_rate_hz")),
        silence_timeout_ns=messages.seconds_to_ns(node.number("silence_timeout_s")),
        max_measured_age_ns=messages.seconds_to_ns(node.number("max_measured_age_s")),
        measured_wait_ns=messages.seconds_to_ns(node.number("measured_wait_s")),
        rest_velocity_rad_s=motion.robot.policy.rest_velocity_rad_s,
        home_rad=motion.robot.home_rad,
        gripper_toggle_ns=messages.seconds_to_ns(node.number("gripper_toggle_s")),
        lockstep=node.flag("lockstep"),
        may_be_moved=node.text("backend") == "twin",
    )
    age_ns = messages.seconds_to_ns(limits.max_observation_age_s)
    schedule = ChunkSchedule(manifest.act_steps, period_ns, age_ns)
    return Commander(schedule, SafetyGate(limits), motion, settings)


def rehearse(node: ManagedNode, manifest: BundleManifest, robot: Robot) -> int:
    """Run the command side once on a clock of its own, before the robot depends on it.

    The first use of the numerical libraries takes a tenth of a second, longer than a stream of
    setpoints may pause.

    Args:
        node: The command node, for its parameters.
        manifest: Gives period, steps and layout of an action.
        robot: The arm; the rehearsal is at its home posture and leads nowhere else.

    Returns:
        How many actions were executed: none where home itself breaks a limit.
    """
    commander = build_commander(node, manifest, build_motion(node, robot))
    home = np.array(robot.home_rad)
    position, base_from_tool = tool_pose(home)
    goal = position + np.array([0.01, 0.0, 0.0])
    action = np.concatenate([goal, base_from_tool[:2].reshape(-1), [-1.0]])
    commander.start()
    for cycle in range(_REHEARSED_CYCLES):
        now_ns = cycle * messages.seconds_to_ns(1.0 / node.number("setpoint_rate_hz"))
        commander.measure(MeasuredJoints(now_ns, home, np.zeros(len(home))))
        if cycle == 1:
            commander.push(ActionChunk(0, np.tile(action, (manifest.act_steps, 1))))
        commander.cycle(now_ns)
    return commander.counts["actions"]
