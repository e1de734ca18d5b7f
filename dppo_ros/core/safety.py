# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last gate before the robot: what it lets through is always inside the limits.

The gate judges one absolute tool goal at a time, in the robot base frame, against the measured
tool pose and against the last command it let through:

1. Refuse (hold) what makes no sense: numbers that are not finite, a matrix that is not a
   rotation, an observation that is too old, a goal very far from the measured pose.
2. Limit the rest: clamp the goal into the workspace box, then walk from the last command towards
   it, in a straight line and along the shortest rotation, only as far as velocity limits and the
   distance limits around the measured pose allow.
3. Check the result against every limit once more and refuse it if any is exceeded, so that the
   guarantee does not rest on the correctness of step 2.

The gate keeps the last command; call ``reset`` whenever the robot was moved by something else
(activation, hand guiding, simulation reset). Times are integer nanoseconds; NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import SafetyError
from dppo_ros.core.rotations import limit_rotation
from dppo_ros.core.safety_geometry import (
    angle,
    distance,
    last_point_in_ball,
    last_rotation_where,
    nearest_rotation,
)
from dppo_ros.core.safety_limits import SafetyLimits

FloatArray = NDArray[np.float64]

NOT_FINITE = "not_finite"
NOT_A_ROTATION = "not_a_rotation"
STALE = "stale"
CLOCK_BACKWARDS = "clock_backwards"
JUMP = "jump"
OUT_OF_REACH = "out_of_reach"
LIMITED_WORKSPACE = "limited_workspace"
LIMITED_TRANSLATION = "limited_translation"
LIMITED_ROTATION = "limited_rotation"
LIMITED_GRIPPER = "limited_gripper"

REJECTIONS = (NOT_FINITE, NOT_A_ROTATION, STALE, CLOCK_BACKWARDS, JUMP, OUT_OF_REACH)
LIMITATIONS = (LIMITED_WORKSPACE, LIMITED_TRANSLATION, LIMITED_ROTATION, LIMITED_GRIPPER)

_SLACK = 1e-9  # rounding only: metres and radians
_NS_PER_S = 1e9


@dataclass(frozen=True, eq=False)
class ToolCommand:
    """What may be sent to the robot.

    Attributes:
        position: Tool goal position (3,), m, base frame.
        base_from_tool: Tool goal rotation (3, 3).
        gripper: Gripper latch value; negative opens, positive closes.
    """

    position: FloatArray
    base_from_tool: FloatArray
    gripper: float


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the gate decided about one goal.

    Attributes:
        command: What to send; None means hold, that is: send nothing new.
        interventions: Names out of ``REJECTIONS`` and ``LIMITATIONS``; empty when untouched.
    """

    command: ToolCommand | None
    interventions: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Return whether there is a command to send."""
        return self.command is not None

    @property
    def position(self) -> FloatArray:
        """Return the position to send (3,), m; raises SafetyError when rejected."""
        return self._sent().position

    @property
    def base_from_tool(self) -> FloatArray:
        """Return the rotation to send (3, 3); raises SafetyError when rejected."""
        return self._sent().base_from_tool

    @property
    def gripper(self) -> float:
        """Return the gripper value to send; raises SafetyError when rejected."""
        return self._sent().gripper

    def _sent(self) -> ToolCommand:
        if self.command is None:
            raise SafetyError(
                f"the goal was rejected ({', '.join(self.interventions)}): there is nothing to "
                "send; look at `accepted` first"
            )
        return self.command


@dataclass(frozen=True, eq=False)
class _Bounds:
    """The limits that apply to one goal."""

    start_position: FloatArray
    start_matrix: FloatArray
    measured_position: FloatArray
    measured_matrix: FloatArray
    translation_m: float
    rotation_rad: float


class SafetyGate:
    """Checks and limits tool goals, remembering the last one it let through."""

    def __init__(self, limits: SafetyLimits) -> None:
        """Start without a last command.

        Args:
            limits: The limits, already validated by their constructor.
        """
        self.limits = limits
        self.counts = EventCounts("accepted", "rejected", *REJECTIONS, *LIMITATIONS)
        self._low = np.array(limits.workspace_minimum_m)
        self._high = np.array(limits.workspace_maximum_m)
        self._last: ToolCommand | None = None
        self._last_ns: int | None = None

    def reset(self) -> None:
        """Forget the last command: the next goal is limited around the measured pose only."""
        self._last = None
        self._last_ns = None

    def check(
        self,
        goal_position: ArrayLike,
        goal_matrix: ArrayLike,
        gripper: float,
        measured_position: ArrayLike,
        measured_matrix: ArrayLike,
        *,
        observation_stamp_ns: int,
        now_ns: int,
    ) -> Verdict:
        """Return what may be sent for a goal.

        Args:
            goal_position: Tool goal (3,), m, base frame.
            goal_matrix: Tool goal rotation base_from_tool (3, 3).
            gripper: Gripper latch value.
            measured_position: Measured tool position (3,), m, base frame.
            measured_matrix: Measured tool rotation base_from_tool (3, 3).
            observation_stamp_ns: Time of the observation behind the goal.
            now_ns: Current time on the same clock.

        Raises:
            SafetyError: An array has the wrong shape; bad values never raise, they are rejected.
        """
        goal = _shaped(goal_position, (3,), "goal position")
        rotation = _shaped(goal_matrix, (3, 3), "goal rotation")
        here = _shaped(measured_position, (3,), "measured position")
        here_rotation = _shaped(measured_matrix, (3, 3), "measured rotation")
        grip = float(gripper)
        if not all(np.isfinite(part).all() for part in (goal, rotation, here, here_rotation, grip)):
            return self._reject(NOT_FINITE)
        if not abs(now_ns - observation_stamp_ns) <= self.limits.max_observation_age_s * _NS_PER_S:
            return self._reject(STALE)
        if self._last_ns is not None and now_ns < self._last_ns:
            return self._reject(CLOCK_BACKWARDS)
        proper, proper_here = nearest_rotation(rotation), nearest_rotation(here_rotation)
        if proper is None or proper_here is None:
            return self._reject(NOT_A_ROTATION)
        if (
            distance(goal, here) >= self.limits.reject_translation_m
            or angle(proper, proper_here) >= self.limits.reject_rotation_rad
        ):
            return self._reject(JUMP)
        bounds = self._bounds(here, proper_here, now_ns)
        return self._limit(ToolCommand(goal, proper, grip), bounds, now_ns)

    def _bounds(self, here: FloatArray, here_rotation: FloatArray, now_ns: int) -> _Bounds:
        period_s = self.limits.control_period_s
        if self._last is None or self._last_ns is None:
            start_position, start_matrix = np.clip(here, self._low, self._high), here_rotation
            elapsed_s = period_s
        else:
            start_position, start_matrix = self._last.position, self._last.base_from_tool
            elapsed_s = min((now_ns - self._last_ns) / _NS_PER_S, period_s)
        return _Bounds(
            start_position=start_position,
            start_matrix=start_matrix,
            measured_position=here,
            measured_matrix=here_rotation,
            translation_m=self.limits.max_linear_velocity_m_s * elapsed_s,
            rotation_rad=self.limits.max_angular_velocity_rad_s * elapsed_s,
        )

    def _limit(self, goal: ToolCommand, bounds: _Bounds, now_ns: int) -> Verdict:
        interventions: list[str] = []
        inside = np.clip(goal.position, self._low, self._high)
        if not np.array_equal(inside, goal.position):
            interventions.append(LIMITED_WORKSPACE)
        position = self._limited_position(inside, bounds)
        if distance(position, inside) > _SLACK:
            interventions.append(LIMITED_TRANSLATION)
        matrix = self._limited_rotation(goal.base_from_tool, bounds)
        if angle(matrix, goal.base_from_tool) > _SLACK:
            interventions.append(LIMITED_ROTATION)
        grip = float(
            np.clip(goal.gripper, self.limits.gripper_minimum, self.limits.gripper_maximum)
        )
        if grip != goal.gripper:
            interventions.append(LIMITED_GRIPPER)
        # Walking to the edge of the box may round to a hair outside of it.
        command = ToolCommand(np.clip(position, self._low, self._high), matrix, grip)
        if not self._is_safe(command, bounds):
            return self._reject(OUT_OF_REACH)
        self._last, self._last_ns = command, now_ns
        self.counts.add("accepted")
        for name in interventions:
            self.counts.add(name)
        return Verdict(command, tuple(interventions))

    def _limited_position(self, goal: FloatArray, bounds: _Bounds) -> FloatArray:
        """Return the point nearest to the goal along the way that the limits leave open.

        From the last command, first towards the measured pose if it is outside the ball around
        it, then straight to the goal; both legs stay in the convex box.
        """
        radius, here = self.limits.max_step_translation_m, bounds.measured_position
        start = bounds.start_position
        gap = distance(start, here)
        if gap > radius:
            start = start + (here - start) * ((gap - radius) / gap)
        reachable = goal
        for centre, limit in ((here, radius), (bounds.start_position, bounds.translation_m)):
            reachable = last_point_in_ball(start, reachable, centre, limit)
        return reachable

    def _limited_rotation(self, goal: FloatArray, bounds: _Bounds) -> FloatArray:
        """Return the rotation nearest to the goal along the way that the limits leave open."""
        radius, here = self.limits.max_step_rotation_rad, bounds.measured_matrix
        start = bounds.start_matrix
        if angle(start, here) > radius:
            start = limit_rotation(here, start, radius)

        def allowed(rotation: FloatArray) -> bool:
            return (
                angle(rotation, here) <= radius
                and angle(rotation, bounds.start_matrix) <= bounds.rotation_rad
            )

        return last_rotation_where(allowed, start, goal)

    def _is_safe(self, command: ToolCommand, bounds: _Bounds) -> bool:
        """Return whether a command satisfies every limit, computed afresh."""
        position, matrix = command.position, command.base_from_tool
        return bool(
            np.isfinite(position).all()
            and np.isfinite(matrix).all()
            and (position >= self._low).all()
            and (position <= self._high).all()
            and distance(position, bounds.measured_position)
            <= self.limits.max_step_translation_m + _SLACK
            and distance(position, bounds.start_position) <= bounds.translation_m + _SLACK
            and angle(matrix, bounds.measured_matrix) <= self.limits.max_step_rotation_rad + _SLACK
            and angle(matrix, bounds.start_matrix) <= bounds.rotation_rad + _SLACK
            and nearest_rotation(matrix) is not None
        )

    def _reject(self, reason: str) -> Verdict:
        self.counts.add("rejected")
        self.counts.add(reason)
        return Verdict(None, (reason,))


def _shaped(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise SafetyError(f"{name} has shape {array.shape}; it must be {shape}")
    return array
