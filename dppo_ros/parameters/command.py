# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the command node and limits of its safety gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dppo_ros.core.safety_limits import SafetyLimits
from dppo_ros.parameters.model import COMMON, Parameter, Value

BACKENDS = ("twin", "joint_trajectory", "joint_position", "crisp")
"""Ways to a robot, see ``dppo_ros.nodes.backends``."""

COMMAND = (
    *COMMON,
    Parameter("bundle", "", "folder of the policy bundle; gives rate, chunk size, action layout"),
    Parameter("robot", "panda", "arm whose limits apply", choices=("panda", "fr3")),
    Parameter(
        "backend",
        "twin",
        "how setpoints reach the robot: the simulated cell, a joint_trajectory_controller, a "
        "forward_command_controller for positions, or crisp_controllers",
        choices=BACKENDS,
    ),
    Parameter("enabled_on_activate", True, "start at once; otherwise call ~/start first"),
    Parameter("setpoint_rate_hz", 200.0, "rate of the joint setpoints (Hz)", 100.0, 1000.0),
    Parameter("lockstep", False, "withhold the setpoint of a tick until its action is here"),
    Parameter("silence_timeout_s", 0.25, "no due action for this long: hold (s)", 0.01, 5.0),
    Parameter("max_measured_age_s", 0.25, "oldest measured joints to move on (s)", 0.001, 5.0),
    Parameter("measured_wait_s", 0.02, "wait this long for the joints of the tick (s)", 0.0, 1.0),
    Parameter(
        "gripper_toggle_s", 0.0, "least time between two changes of the gripper (s)", 0.0, 10.0
    ),
    Parameter(
        "gripper_open_m", 0.065, "opening of the hand when the latch opens it (m)", 0.0, 0.08
    ),
    Parameter("compute_ahead_s", 0.002, "start on a setpoint this early (s)", 0.0, 0.005),
    Parameter(
        "real_time_priority",
        20,
        "SCHED_FIFO priority of the setpoint thread where permitted; 0 asks for none",
        0,
        90,
    ),
    Parameter("base_frame", "panda_link0", "frame_id of commands"),
)
"""Parameters of the command node, without the safety limits (see ``SAFETY``)."""

# The nodes' defaults fit the carrot goals of the furniture policies, of which the arm covers about
# 40 % in a control period; the gate's own defaults are narrower.
_LIMITS = SafetyLimits(
    workspace_minimum_m=(0.25, -0.55, 0.005),
    max_linear_velocity_m_s=1.0,
    max_angular_velocity_rad_s=6.0,
)
SAFETY = (
    Parameter(
        "safety.workspace_minimum_m",
        list(_LIMITS.workspace_minimum_m),
        "lower corner of the box for the tool goal (m, base frame)",
        -2.0,
        2.0,
    ),
    Parameter(
        "safety.workspace_maximum_m",
        list(_LIMITS.workspace_maximum_m),
        "upper corner of the box for the tool goal (m, base frame)",
        -2.0,
        2.0,
    ),
    Parameter(
        "safety.max_step_translation_m",
        _LIMITS.max_step_translation_m,
        "goal at most this far from the measured tool (m)",
        0.001,
        0.5,
    ),
    Parameter(
        "safety.max_step_rotation_rad",
        _LIMITS.max_step_rotation_rad,
        "goal turned at most this far from the measured tool (rad)",
        0.01,
        1.5,
    ),
    Parameter(
        "safety.max_linear_velocity_m_s",
        _LIMITS.max_linear_velocity_m_s,
        "largest speed of the sequence of goals (m/s)",
        0.01,
        1.7,
    ),
    Parameter(
        "safety.max_angular_velocity_rad_s",
        _LIMITS.max_angular_velocity_rad_s,
        "largest turning speed of the sequence of goals (rad/s)",
        0.05,
        10.0,
    ),
    Parameter(
        "safety.reject_translation_m",
        _LIMITS.reject_translation_m,
        "goal this far from the measured tool is refused (m)",
        0.01,
        1.0,
    ),
    Parameter(
        "safety.reject_rotation_rad",
        _LIMITS.reject_rotation_rad,
        "goal turned this far from the measured tool is refused (rad)",
        0.1,
        3.0,
    ),
    Parameter(
        "safety.max_observation_age_s",
        _LIMITS.max_observation_age_s,
        "oldest observation whose action may be sent (s)",
        0.01,
        10.0,
    ),
)
"""Limits of the safety gate; the control period comes from the bundle."""


def safety_limits(values: Mapping[str, Value], control_period_s: float) -> SafetyLimits:
    """Return the limits of the safety gate.

    Args:
        values: Values of the ``SAFETY`` parameters by name.
        control_period_s: Time between commands (s), from the bundle.

    Raises:
        SafetyError: The limits contradict each other.
    """
    fields: dict[str, Any] = {
        name.removeprefix("safety."): tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
    return SafetyLimits(control_period_s=control_period_s, **fields)
