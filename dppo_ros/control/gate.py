# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last judge of joint setpoints: nothing is sent that it has not checked afresh.

It trusts nobody: velocities, accelerations and jerks are taken from differences of the setpoints
that were really sent, the tool's from forward kinematics of the same. Before a setpoint is let
through, the gate also works out how the arm would stop from there, and refuses the setpoint when
that stop would leave the limits. So a safe stop is always at hand, and it is the gate that makes
it: after a refusal the only thing that can be sent is the stop of the last setpoint that passed.

Times are seconds of the setpoint stream. No clock is read here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.control.clearance import ClearanceModel
from dppo_ros.control.differences import Differences, ToolDifferences
from dppo_ros.control.limits import Robot
from dppo_ros.control.paths import JointState, Path, PathPlanner
from dppo_ros.control.stopping import StopPoint, stop_points
from dppo_ros.control.tool_motion import tool_excess
from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import SafetyError
from dppo_ros.core.kinematics import ARM_JOINTS, tool_pose
from dppo_ros.core.motion import Measurement
from dppo_ros.core.refusals import MEASURED_DISTANCE

FloatArray = NDArray[np.float64]

NOT_FINITE = "not_finite"
STEP_TIME = "step_time"
JOINT_POSITION = "joint_position"
JOINT_VELOCITY = "joint_velocity"
JOINT_ACCELERATION = "joint_acceleration"
JOINT_JERK = "joint_jerk"
INCONSISTENT = "velocity_does_not_fit_position"
WORKSPACE = "tool_outside_workspace"
TOOL_VELOCITY = "tool_velocity"
TOOL_ACCELERATION = "tool_acceleration"
TOOL_JERK = "tool_jerk"
CLEARANCE = "clearance"
MEASURED_AGE = "measured_joints_stale"
NO_SAFE_STOP = "no_safe_stop_from_here"
REASONS = (
    NOT_FINITE, STEP_TIME, JOINT_POSITION, JOINT_VELOCITY, JOINT_ACCELERATION, JOINT_JERK,
    INCONSISTENT, WORKSPACE, TOOL_VELOCITY, TOOL_ACCELERATION, TOOL_JERK, CLEARANCE, MEASURED_AGE,
    MEASURED_DISTANCE, NO_SAFE_STOP,
)  # fmt: skip

_SLACK = 1e-4  # relative: rounding in third differences of positions
_LONGEST_STEP_S = 0.05
_STOP_PARTS = (0.5, 1.0)  # of its duration: where the stop is judged
_STOP_TRIES = 6
_STOP_STEP_S = 0.016
_STRETCH = 1.3


@dataclass(frozen=True)
class Workspace:
    """Box that the tool of every setpoint must stay in, base frame.

    Attributes:
        low_m: Lower corner (3).
        high_m: Upper corner (3).
    """

    low_m: tuple[float, ...]
    high_m: tuple[float, ...]


class JointGate:
    """Checks setpoints and makes the stops."""

    def __init__(self, robot: Robot, workspace: Workspace, max_measured_age_s: float) -> None:
        """Prepare; ``begin`` starts a stream of setpoints.

        Args:
            robot: Limits and shape of the arm.
            workspace: Box of the tool.
            max_measured_age_s: Oldest measurement on which a setpoint may be sent.
        """
        joints = robot.policy.joints
        self._robot = robot
        self._low, self._high = np.array(joints.position_min_rad), np.array(joints.position_max_rad)
        self._velocity = np.array(joints.velocity_rad_s)
        self._acceleration = np.array(joints.acceleration_rad_s2)
        self._jerk = np.array(joints.jerk_rad_s3)
        self._distance = np.array(robot.policy.measured_distance_rad)
        self._box = np.array(workspace.low_m), np.array(workspace.high_m)
        self._max_age_s = max_measured_age_s
        self._clearance = ClearanceModel(robot.surroundings)
        self._planner = PathPlanner(self._velocity, self._acceleration, self._jerk)
        self._sent: JointState | None = None
        self._stop: Path | None = None
        self._stop_s = 0.0
        self.detail = ""
        self.counts = EventCounts("passed", "refused", "stop_setpoints", *REASONS)

    @property
    def sent(self) -> JointState:
        """Return the setpoint that was sent last.

        Raises:
            SafetyError: Nothing was begun yet.
        """
        if self._sent is None:
            raise SafetyError("the gate has sent nothing yet; begin at the measured joints first")
        return self._sent

    def begin(self, position: ArrayLike) -> str:
        """Start a stream of setpoints at a standstill.

        Args:
            position: Joints where the arm stands (7,), rad.

        Returns:
            Why it must not start there, empty when it may.
        """
        here = np.array(position, dtype=np.float64)
        if here.shape != (ARM_JOINTS,) or not np.isfinite(here).all():
            return NOT_FINITE
        fault = self._range_fault(here, tool_pose(here)[0]) or self._clearance_fault([here])
        if fault:
            return fault
        self._sent = JointState.at_rest(here)
        self._joints = Differences(here)
        self._tool = ToolDifferences(*tool_pose(here))
        self._stop, self._stop_s = self._planner.to_rest(self._sent), 0.0
        return ""

    def check(self, setpoint: JointState, step_s: float, measured: Measurement) -> str:
        """Judge a setpoint and take it as sent when it passes.

        Args:
            setpoint: What shall be sent.
            step_s: Time since the setpoint before it.
            measured: What the robot reports now.

        Returns:
            Why it must not be sent, empty when it may.
        """
        reason = self._fault(setpoint, step_s, measured)
        if reason:
            self.counts.add("refused")
            self.counts.add(reason)
            return reason
        self._take(setpoint, step_s)
        self._stop, self._stop_s = self._next_stop, 0.0
        self.counts.add("passed")
        return ""

    def stop(self, step_s: float) -> JointState:
        """Return the next setpoint of the stop of the last setpoint that passed."""
        sent = self.sent
        if self._stop is None or not 0.0 < step_s <= _LONGEST_STEP_S:
            raise SafetyError(f"a stop cannot go on by {step_s} s; steps last up to 0.05 s")
        self._stop_s += step_s
        state = self._stop.at(min(self._stop_s, self._stop.duration_s))
        if self._stop_s >= self._stop.duration_s:
            state = JointState.at_rest(state.position)
        if not sent.is_at_rest() or not np.array_equal(sent.position, state.position):
            self.counts.add("stop_setpoints")
        self._take(state, step_s)
        return state

    def stop_points(self) -> list[StopPoint]:
        """Return the last setpoint and the stop after it, as points."""
        return stop_points(self.sent, self._stop, self._stop_s)

    def _take(self, state: JointState, step_s: float) -> None:
        self._sent = state
        self._joints.add(state.position, step_s)
        self._tool.add(*tool_pose(state.position), step_s)

    def _fault(self, setpoint: JointState, step_s: float, measured: Measurement) -> str:
        position = np.asarray(setpoint.position, dtype=np.float64)
        parts = (position, setpoint.velocity, setpoint.acceleration, measured.position)
        if any(np.shape(part) != (ARM_JOINTS,) for part in parts):
            return NOT_FINITE
        if not all(np.isfinite(part).all() for part in parts):
            return NOT_FINITE
        if not 0.0 < step_s <= _LONGEST_STEP_S:
            return STEP_TIME
        if not 0.0 <= measured.age_s <= self._max_age_s:
            return MEASURED_AGE
        if (np.abs(position - measured.position) > self._distance).any():
            return MEASURED_DISTANCE
        tool = tool_pose(position)
        return (
            self._motion_fault(setpoint, step_s)
            or self._tool_fault(*tool, step_s)
            or self._range_fault(position, tool[0])
            or self._stop_fault(setpoint)
        )

    def _motion_fault(self, setpoint: JointState, step_s: float) -> str:
        sent = self.sent
        velocity, acceleration, jerk = self._joints.preview(setpoint.position, step_s)
        if _beyond(velocity, self._velocity) or _beyond(setpoint.velocity, self._velocity):
            return JOINT_VELOCITY
        change = (setpoint.velocity - sent.velocity) / step_s
        if (
            _beyond(acceleration, self._acceleration)
            or _beyond(change, self._acceleration)
            or _beyond(setpoint.acceleration, self._acceleration)
        ):
            return JOINT_ACCELERATION
        change = (setpoint.acceleration - sent.acceleration) / step_s
        if _beyond(jerk, self._jerk) or _beyond(change, self._jerk):
            return JOINT_JERK
        # The mean of both velocities moves the joint as far as the positions say, but for jerk.
        mean = 0.5 * (setpoint.velocity + sent.velocity)
        if (np.abs(velocity - mean) > self._jerk * step_s**2 + 1e-6).any():
            return INCONSISTENT
        return ""

    def _tool_fault(self, position: FloatArray, rotation: FloatArray, step_s: float) -> str:
        limits = self._robot.policy.tool
        linear, angular = self._tool.preview(position, rotation, step_s)
        pairs = (
            (TOOL_VELOCITY, limits.linear_velocity_m_s, limits.angular_velocity_rad_s),
            (
                TOOL_ACCELERATION,
                limits.linear_acceleration_m_s2,
                limits.angular_acceleration_rad_s2,
            ),
            (TOOL_JERK, limits.linear_jerk_m_s3, limits.angular_jerk_rad_s3),
        )
        for order, (reason, linear_limit, angular_limit) in enumerate(pairs):
            along, about = np.linalg.norm(linear[order]), np.linalg.norm(angular[order])
            if along > linear_limit * (1 + _SLACK) or about > angular_limit * (1 + _SLACK):
                self.detail = f"{along:.4g} linear, {about:.4g} angular"
                return reason
        return ""

    def _range_fault(self, position: FloatArray, tool: FloatArray) -> str:
        if (position < self._low).any() or (position > self._high).any():
            joint = int(np.argmax(np.maximum(self._low - position, position - self._high)))
            self.detail = (
                f"joint {joint + 1} at {position[joint]:.4f} rad, allowed "
                f"{self._low[joint]:.4f} to {self._high[joint]:.4f}"
            )
            return JOINT_POSITION
        if (tool < self._box[0]).any() or (tool > self._box[1]).any():
            self.detail = f"tool at {np.round(tool, 4).tolist()} m"
            return WORKSPACE
        return ""

    def _clearance_fault(self, postures: list[FloatArray]) -> str:
        """Judge a posture, and those of the stop after it."""
        closest = self._clearance.closest(np.array(postures))
        if closest.margin_m >= 0.0:
            return ""
        self.detail = f"{closest.names} to {closest.what}: {closest.margin_m * 1e3:.1f} mm"
        return CLEARANCE if closest.posture == 0 else NO_SAFE_STOP

    def _stop_fault(self, setpoint: JointState) -> str:
        """Work out the stop from a setpoint and judge where it leads."""
        stop = self._plan_stop(setpoint)
        if stop is None:
            self.detail = "the tool would brake too hard"
            return NO_SAFE_STOP
        self._next_stop = stop
        postures = [setpoint.position]
        if not setpoint.is_at_rest():
            postures += [stop.at(stop.duration_s * part).position for part in _STOP_PARTS]
        for position in postures[1:]:
            if self._range_fault(position, tool_pose(position)[0]):
                return NO_SAFE_STOP
        return self._clearance_fault(postures)

    def _plan_stop(self, setpoint: JointState) -> Path | None:
        """Return the quickest stop that the tool's limits allow."""
        stop = self._planner.to_rest(setpoint)
        for _ in range(_STOP_TRIES):
            if stop is None or setpoint.is_at_rest():
                return stop
            if tool_excess(stop, self._robot.policy.tool, _STOP_STEP_S) <= 1.0:
                return stop
            stop = self._planner.to_rest(setpoint, stop.duration_s * _STRETCH)
        return None


def _beyond(values: FloatArray, limits: FloatArray) -> bool:
    return bool((np.abs(values) > limits * (1.0 + _SLACK)).any())
