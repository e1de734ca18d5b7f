# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Jerk-limited paths of seven joints: to a state at a time, to a posture, to a standstill.

Thin layer over ruckig. A path is a function of time from 0 on; behind its end it stays in the
state that it leads to, moving on at constant velocity where that is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ruckig
from numpy.typing import NDArray

from dppo_ros.core.errors import SafetyError
from dppo_ros.core.kinematics import ARM_JOINTS

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointState:
    """Position, velocity and acceleration of the joints at one instant.

    Attributes:
        position: (7,) rad.
        velocity: (7,) rad/s.
        acceleration: (7,) rad/s2.
    """

    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray

    @staticmethod
    def at_rest(position: FloatArray) -> JointState:
        """Return a standing state."""
        return JointState(np.array(position, dtype=np.float64), np.zeros(7), np.zeros(7))

    def is_at_rest(self, velocity_rad_s: float = 1e-6, acceleration_rad_s2: float = 1e-3) -> bool:
        """Return whether nothing moves faster, or speeds up more, than this."""
        return bool(
            np.abs(self.velocity).max() <= velocity_rad_s
            and np.abs(self.acceleration).max() <= acceleration_rad_s2
        )


class Path:
    """One jerk-limited motion."""

    def __init__(self, trajectory: ruckig.Trajectory) -> None:
        """Wrap what ruckig calculated."""
        self._trajectory = trajectory
        self.duration_s = float(trajectory.duration)

    def at(self, time_s: float) -> JointState:
        """Return the state at a time."""
        position, velocity, acceleration = self._trajectory.at_time(time_s)
        return JointState(np.array(position), np.array(velocity), np.array(acceleration))


class PathPlanner:
    """Plans paths under fixed joint limits."""

    def __init__(self, velocity: FloatArray, acceleration: FloatArray, jerk: FloatArray) -> None:
        """Prepare ruckig.

        Args:
            velocity: (7,) largest speeds, rad/s.
            acceleration: (7,) largest accelerations, rad/s2.
            jerk: (7,) largest jerks, rad/s3.
        """
        self.velocity = np.array(velocity, dtype=np.float64)
        self.acceleration = np.array(acceleration, dtype=np.float64)
        self.jerk = np.array(jerk, dtype=np.float64)
        self._solver = ruckig.Ruckig(ARM_JOINTS)
        self._position = self._problem(ruckig.ControlInterface.Position)
        self._velocity = self._problem(ruckig.ControlInterface.Velocity)

    def to_state(self, start: JointState, end: JointState, duration_s: float = 0.0) -> Path | None:
        """Return the path to a state, as fast as possible or lasting at least a duration.

        Returns:
            The path, None where ruckig finds none: the end state breaks a limit.
        """
        problem = self._position
        self._set_start(problem, start)
        problem.target_position = end.position.tolist()
        problem.target_velocity = end.velocity.tolist()
        problem.target_acceleration = end.acceleration.tolist()
        return self._solve(problem, duration_s)

    def to_rest(self, start: JointState, duration_s: float = 0.0) -> Path | None:
        """Return the path to a standstill, as fast as possible or lasting at least a duration.

        Returns:
            The path, None where ruckig finds none.
        """
        problem = self._velocity
        self._set_start(problem, start)
        return self._solve(problem, duration_s)

    def _problem(self, interface: ruckig.ControlInterface) -> ruckig.InputParameter:
        problem = ruckig.InputParameter(ARM_JOINTS)
        problem.control_interface = interface
        problem.synchronization = ruckig.Synchronization.Time
        if interface is ruckig.ControlInterface.Position:
            problem.max_velocity = self.velocity.tolist()
        problem.max_acceleration = self.acceleration.tolist()
        problem.max_jerk = self.jerk.tolist()
        problem.target_velocity = [0.0] * ARM_JOINTS
        problem.target_acceleration = [0.0] * ARM_JOINTS
        return problem

    def _set_start(self, problem: ruckig.InputParameter, start: JointState) -> None:
        if not all(np.isfinite(part).all() for part in vars(start).values()):
            raise SafetyError(
                "a path was asked for from a state that is not finite; begin again from the "
                "measured joints"
            )
        problem.current_position = start.position.tolist()
        problem.current_velocity = start.velocity.tolist()
        problem.current_acceleration = start.acceleration.tolist()

    def _solve(self, problem: ruckig.InputParameter, duration_s: float) -> Path | None:
        problem.minimum_duration = duration_s if duration_s > 0.0 else None
        trajectory = ruckig.Trajectory(ARM_JOINTS)
        try:
            result = self._solver.calculate(problem, trajectory)
        except ruckig.RuckigError:
            return None
        return Path(trajectory) if result == ruckig.Result.Working else None
