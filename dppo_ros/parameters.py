# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every ROS parameter of every node: type, default, range and meaning, in one place.

Nodes declare exactly these, the bring-up checks values against them before it starts a process,
and a test compares them with the YAML files in ``config/ros``. Pure Python: no rclpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.safety_limits import SafetyLimits

Value: TypeAlias = bool | int | float | str | list[float]

_KINDS = {bool: "a boolean", int: "an integer", float: "a number", str: "text", list: "numbers"}


@dataclass(frozen=True)
class Parameter:
    """One ROS parameter.

    Attributes:
        name: Name, dotted for groups such as ``safety.max_step_translation_m``.
        default: Value when nothing else is said; its type is the type of the parameter.
        description: One line for people, with the unit.
        minimum: Smallest value allowed (numbers only).
        maximum: Largest value allowed (numbers only).
        choices: The only values allowed (text only).
        dynamic: True when it may change while the node runs.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def check(self, value: object, owner: str) -> Value:
        """Return the value in the type of the parameter.

        Args:
            value: The value as read from YAML, a command line or a message.
            owner: Who asks, for the error text, such as ``"node sim"``.

        Raises:
            ConfigError: Wrong type, out of range, or not one of the choices.
        """
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is list and isinstance(value, Sequence) and not isinstance(value, str):
            value = [float(item) for item in value]
        if type(value) is not kind:
            raise ConfigError(
                f"parameter {self.name} of {owner} is {value!r}; it must be {_KINDS[kind]}"
                f"{self.allowed()}"
            )
        for number in value if isinstance(value, list) else [value]:
            self._check_number(number, owner)
        if self.choices and value not in self.choices:
            raise ConfigError(
                f"parameter {self.name} of {owner} is {value!r}; choose one of "
                f"{', '.join(self.choices)}"
            )
        return value

    def allowed(self) -> str:
        """Return the range as text to append to a sentence, empty when there is none."""
        if self.choices:
            return f", one of {', '.join(self.choices)}"
        if self.minimum is None or self.maximum is None:
            return ""
        return f", from {self.minimum:.10g} to {self.maximum:.10g}"

    def _check_number(self, number: object, owner: str) -> None:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return
        low = self.minimum if self.minimum is not None else -float("inf")
        high = self.maximum if self.maximum is not None else float("inf")
        if not low <= number <= high:
            raise ConfigError(
                f"parameter {self.name} of {owner} is {number!r}; it must lie between "
                f"{low:g} and {high:g}"
            )


COMMON = (
    Parameter("wait_for", "", "nodes that must listen before this one becomes active, by comma"),
    Parameter(
        "ready_timeout_s", 10.0, "longest wait for listeners on activation (s, wall)", 0.0, 600.0
    ),
)
"""Parameters of every node."""

SIM = (
    *COMMON,
    Parameter("randomness", "low", "spread of the start states", choices=("low", "med")),
    Parameter(
        "seed", 0, "seed of the start state; ~/reset uses it again", 0, 2**31 - 1, dynamic=True
    ),
    Parameter(
        "real_time_factor",
        1.0,
        "simulated seconds per second; 0 runs as fast as possible",
        0.0,
        100.0,
        dynamic=True,
    ),
    Parameter("lockstep", False, "wait at every control tick for the command of that tick"),
    Parameter("lockstep_timeout_s", 5.0, "longest wait for such a command (s, wall)", 0.05, 60.0),
    Parameter(
        "max_episode_steps", 700, "control steps until the episode ends unassembled", 1, 1_000_000
    ),
    Parameter("exit_on_end", False, "leave the process when the episode ends"),
    Parameter(
        "control_rate_hz", 10.0, "rate of observations and of the control tick (Hz)", 1.0, 100.0
    ),
    Parameter(
        "slices_per_tick",
        10,
        "physics slices per tick: joint states and clock are published after each",
        1,
        50,
    ),
)
"""Parameters of the simulated cell."""

POLICY = (
    *COMMON,
    Parameter("bundle", "", "folder of the policy bundle"),
    Parameter(
        "seed", 0, "seed of the sampling noise; noise follows from it and the stamp", 0, 2**31 - 1
    ),
    Parameter(
        "execute_steps",
        0,
        "actions executed before the next query; 0 takes the act_steps of the bundle",
        0,
        1000,
    ),
    Parameter("threads", 1, "threads of the inference session", 1, 64),
    Parameter("max_observation_age_s", 0.3, "older observations are refused (s)", 0.001, 10.0),
    Parameter(
        "latency_warning_s", 0.05, "inference slower than this is reported (s, wall)", 0.0001, 10.0
    ),
    Parameter("base_frame", "panda_link0", "frame_id of the tool pose"),
    Parameter("tag_frame", "tag", "frame_id of the part poses"),
)
"""Parameters of the policy node."""

COMMAND = (
    *COMMON,
    Parameter("bundle", "", "folder of the policy bundle; gives rate, chunk size, action layout"),
    Parameter("enabled_on_activate", True, "start enabled; otherwise call ~/enable first"),
    Parameter("tick_rate_hz", 200.0, "rate at which due actions are looked up (Hz)", 10.0, 1000.0),
    Parameter("silence_timeout_s", 0.25, "no due action for this long: hold (s)", 0.01, 5.0),
    Parameter(
        "max_measured_age_s", 0.25, "oldest measured tool pose to judge a goal on (s)", 0.001, 5.0
    ),
    Parameter(
        "measured_wait_s", 0.02, "wait this long for the tool pose of the tick (s)", 0.0, 1.0
    ),
    Parameter("base_frame", "panda_link0", "frame_id of the tool pose and of commands"),
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

RECORDER = (
    *COMMON,
    Parameter("path", "", "folder of the bag; it must not exist yet"),
    Parameter("bundle", "", "bundle whose hash is noted beside the bag"),
    Parameter("seed", 0, "seed noted beside the bag", 0, 2**31 - 1),
    Parameter("randomness", "", "start-state spread noted beside the bag"),
    Parameter("queue_size", 5000, "messages that may wait for the disk", 100, 1_000_000),
)
"""Parameters of the recorder."""


def by_name(parameters: Sequence[Parameter]) -> dict[str, Parameter]:
    """Return the parameters keyed by name."""
    return {parameter.name: parameter for parameter in parameters}


def check_values(
    parameters: Sequence[Parameter], values: Mapping[str, object], owner: str
) -> dict[str, Value]:
    """Return the values in the declared types.

    Args:
        parameters: What the node declares.
        values: Values by parameter name; names that are left out are left out of the result.
        owner: Who asks, for the error text.

    Raises:
        ConfigError: An unknown name, a wrong type or a value out of range.
    """
    known = by_name(parameters)
    checked: dict[str, Value] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(unknown_name_message(f"parameter of {owner}", name, known))
        checked[name] = known[name].check(value, owner)
    return checked


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
