# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The motion that training's soft joint drives would make, under the limits of a real arm.

In training a joint target q* pulls the arm like a first-order lag: dq = 5 (q* - q). The
generator keeps that response as a *reference*, starting where the setpoints are, and sends the
setpoints on a jerk-limited path that joins the reference as soon as the limits allow, position,
velocity and acceleration, and then follows it. A target that the arm could not approach fast
enough is brought nearer on the straight line in joint space, so that all joints stay in step.

Joining takes all joints the same time. It begins with ``JOIN_S`` and is stretched until the path
obeys the joint limits and the limits of the tool.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dppo_ros.control.limits import MotionLimits
from dppo_ros.control.paths import JointState, Path, PathPlanner
from dppo_ros.control.tool_motion import tool_excess
from dppo_ros.core.kinematics import tool_jacobian

FloatArray = NDArray[np.float64]

DRIVE_RATE_1_S = 5.0
"""Stiffness over damping of training's joint drives (1000 / 200): 1/s."""
JOIN_S = 0.03
"""Shortest time in which a path joins the reference."""
_LONGEST_JOIN_S = 2.0
_STRETCH = 1.25
_USE = 0.95  # of a limit: the reference must be joined strictly inside it
_USE_TOOL = 0.9  # of the limits of the tool: accelerations are means between samples
_INSIDE_RAD = 1e-3
_TRIES = 24


class SetpointGenerator:
    """Makes setpoints; knows nothing of the gate that judges them."""

    def __init__(self, limits: MotionLimits) -> None:
        """Prepare the planners.

        Args:
            limits: The limits in use.
        """
        joints = limits.joints
        self._limits = limits
        self._low = np.array(joints.position_min_rad) + _INSIDE_RAD
        self._high = np.array(joints.position_max_rad) - _INSIDE_RAD
        velocity = np.array(joints.velocity_rad_s)
        acceleration = np.array(joints.acceleration_rad_s2)
        jerk = np.array(joints.jerk_rad_s3)
        self._planner = PathPlanner(velocity, acceleration, jerk)
        speed = limits.homing_speed
        self._homing = PathPlanner(speed * velocity, speed * acceleration, speed * jerk)
        self._tool = limits.tool
        self.begin(np.zeros(7))

    def begin(self, position: FloatArray) -> None:
        """Start a new motion from standing setpoints (7,), rad."""
        self._state = JointState.at_rest(position)
        self._path: Path | None = None
        self._time_s = 0.0
        self._target = np.array(position)
        self._gap = np.zeros(7)

    def resume(self, state: JointState) -> None:
        """Go on from setpoints that something else has sent, as after a stop."""
        self.begin(state.position)
        self._state = state

    def follow(self, target: FloatArray) -> None:
        """Let the setpoints follow a joint target (7,), rad, as training's drives would."""
        reference = self._reference(self._time_s).position
        wanted = np.clip(np.array(target, dtype=np.float64), self._low, self._high)
        gap = wanted - reference
        gap = gap * min(1.0, self._approachable(gap, self._state.position))
        self._target, self._gap, self._time_s = reference + gap, gap, 0.0
        self._path = self._joining_path()

    def go_to(self, posture: FloatArray) -> bool:
        """Go to a posture (7,), rad, slowly and straight in joint space.

        Returns:
            Whether there is a path.
        """
        end = JointState.at_rest(np.clip(posture, self._low, self._high))
        path = self._homing.to_state(self._state, end)
        if path is None:
            return False
        self._target, self._gap, self._time_s = end.position, np.zeros(7), 0.0
        self._path = path
        return True

    def advance(self, step_s: float) -> JointState:
        """Return the setpoint one step later; nothing changes until ``accept``."""
        self._ahead_s = self._time_s + step_s
        if self._path is not None and self._ahead_s <= self._path.duration_s:
            return self._path.at(self._ahead_s)
        return self._reference(self._ahead_s)

    def accept(self, state: JointState) -> None:
        """Learn that the setpoint that ``advance`` returned was sent."""
        self._state = state
        self._time_s = self._ahead_s

    @property
    def arrived(self) -> bool:
        """Return whether the path of ``go_to`` has ended."""
        return self._path is None or self._time_s >= self._path.duration_s

    def _reference(self, time_s: float) -> JointState:
        """Return the first-order response a time after the target was set."""
        rest = self._gap * math.exp(-DRIVE_RATE_1_S * time_s)
        return JointState(
            self._target - rest, DRIVE_RATE_1_S * rest, -DRIVE_RATE_1_S * DRIVE_RATE_1_S * rest
        )

    def _approachable(self, gap: FloatArray, position: FloatArray) -> float:
        """Return the part of a gap whose response stays below the speed limits."""
        part = 1.0 / max(float((DRIVE_RATE_1_S * np.abs(gap) / self._planner.velocity).max()), 1e-9)
        twist = tool_jacobian(position) @ gap * DRIVE_RATE_1_S
        for speed, limit in (
            (float(np.linalg.norm(twist[:3])), self._tool.linear_velocity_m_s),
            (float(np.linalg.norm(twist[3:])), self._tool.angular_velocity_rad_s),
        ):
            part = min(part, _USE_TOOL * limit / max(speed, 1e-9))
        return part * _USE

    def _joining_path(self) -> Path | None:
        """Return a path that joins the reference, None when only stopping helps."""
        # Later than this the reference itself slows down gently enough to be followed.
        steepest = float(
            (DRIVE_RATE_1_S**2 * np.abs(self._gap) / (_USE * self._planner.acceleration)).max()
        )
        join_s = max(JOIN_S, math.log(max(steepest, 1e-9)) / DRIVE_RATE_1_S)
        gentlest, least = self._planner.to_rest(self._state), math.inf
        for _ in range(_TRIES):
            path = self._planner.to_state(self._state, self._reference(join_s), join_s)
            if path is None:
                join_s *= _STRETCH
            elif path.duration_s > join_s + 1e-6:
                join_s = path.duration_s * 1.03
            else:
                excess = tool_excess(path, self._tool)
                if excess <= _USE_TOOL:
                    return path
                if excess < least:
                    gentlest, least = path, excess
                join_s *= _STRETCH
            if join_s > _LONGEST_JOIN_S:
                break
        return gentlest
