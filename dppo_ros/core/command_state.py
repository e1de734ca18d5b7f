# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""States, settings, inputs and output of the command state machine. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dppo_ros.core.chunk import ScheduledAction
from dppo_ros.core.rotations import FloatArray


class State(str, Enum):
    """What the command side is doing."""

    IDLE = "idle"
    HOMING = "homing"
    RUNNING = "running"
    HOLDING = "holding"
    FAULT = "fault"
    RECOVERING = "recovering"
    ESTOP = "estop"


SILENT = (State.IDLE, State.FAULT, State.ESTOP, State.RECOVERING)
"""States in which nothing but the end of a stop is sent."""


@dataclass(frozen=True)
class CommanderSettings:
    """Timing and habits of the command side.

    Attributes:
        control_period_ns: Time between two actions (ns).
        cycle_ns: Time between two setpoints (ns).
        silence_timeout_ns: No action for this long after the last one ended: hold (ns).
        max_measured_age_ns: Oldest measured joints on which to move (ns).
        measured_wait_ns: How long to wait for the measured joints of the tick itself (ns).
        rest_velocity_rad_s: The arm must be slower than this when a stream of setpoints begins.
        home_rad: Where homing goes (7).
        gripper_toggle_ns: Least time between two changes of the gripper (ns).
        lockstep: Withhold the setpoint of a control tick until its action is here.
        may_be_moved: The arm may jump elsewhere, as a simulated one does on a reset: go on from
            there instead of reporting a fault.
    """

    control_period_ns: int
    cycle_ns: int
    silence_timeout_ns: int
    max_measured_age_ns: int
    measured_wait_ns: int
    rest_velocity_rad_s: float
    home_rad: tuple[float, ...]
    gripper_toggle_ns: int = 0
    lockstep: bool = False
    may_be_moved: bool = False


@dataclass(frozen=True, eq=False)
class MeasuredJoints:
    """The arm joints that the robot reports, in the order of the robot's description.

    Attributes:
        stamp_ns: Time of the measurement (ns).
        position: (7,) rad.
        velocity: (7,) rad/s.
    """

    stamp_ns: int
    position: FloatArray
    velocity: FloatArray


@dataclass(frozen=True, eq=False)
class Setpoint:
    """What to send to the robot now.

    Attributes:
        stamp_ns: The cycle that it is for (ns).
        position: (7,) rad.
        velocity: (7,) rad/s.
        gripper: Latch value, None while no action ever set it.
        action: The action that began with this setpoint, None in between.
        interventions: What the gate for tool goals changed in that action.
        goal: Its tool goal, position (3,) m and base_from_tool (3, 3), None in between.
    """

    stamp_ns: int
    position: FloatArray
    velocity: FloatArray
    gripper: float | None
    action: ScheduledAction | None = None
    interventions: tuple[str, ...] = ()
    goal: tuple[FloatArray, FloatArray] | None = None
