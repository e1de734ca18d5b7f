# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command side in front of a joint_trajectory_controller, as far as motion goes.

The twin waits for its setpoints or keeps the last; a joint_trajectory_controller goes on by itself.
The model does what ros2_control documents: a message replaces the trajectory, cubic splines lead
from the present desired state through its points, the last one is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dppo_ros import messages
from dppo_ros.control.gate import Workspace
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.command_state import CommanderSettings, MeasuredJoints
from dppo_ros.core.commander import Commander
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.safety import SafetyGate
from dppo_ros.nodes.backends import JointTrajectoryBackend
from dppo_ros.parameters.command import SAFETY, safety_limits
from dppo_ros.robots import find_robot

MS = 1_000_000
PERIOD_NS, CYCLE_NS, STEPS = 100 * MS, 5 * MS, 8
ROBOT = find_robot("panda")
HOME = np.array(ROBOT.home_rad)
ALLOWED_RAD_S2 = np.array(ROBOT.hardware_joints.acceleration_rad_s2)


class TrajectoryController:
    """Desired state of the arm's joints over time."""

    def __init__(self, position: np.ndarray) -> None:
        """Hold a posture (7,), rad."""
        self.now_ns = 0
        self.hold(position)

    def hold(self, position: np.ndarray) -> None:
        """Hold a posture, as after the controller was switched on there."""
        self._begin_ns = 0
        self._times = np.array([0.0])
        self._positions, self._velocities = np.array([position]), np.zeros((1, 7))

    def publish(self, message: object) -> None:
        """Take a JointTrajectory; stands for the publisher of the back-end."""
        points = message.points  # type: ignore[attr-defined]
        position, velocity, _ = self.at(self.now_ns)
        times = [messages.stamp_to_ns(point.time_from_start) * 1e-9 for point in points]
        self._begin_ns = self.now_ns
        self._times = np.array([0.0, *times])
        self._positions = np.array([position, *(point.positions for point in points)])
        self._velocities = np.array([velocity, *(point.velocities for point in points)])

    def at(self, now_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return desired position, velocity and acceleration, (7,) each."""
        time_s = (now_ns - self._begin_ns) * 1e-9
        if time_s >= self._times[-1]:
            return self._positions[-1], np.zeros(7), np.zeros(7)
        index = int(np.searchsorted(self._times, time_s, side="right")) - 1
        length = self._times[index + 1] - self._times[index]
        share = (time_s - self._times[index]) / length
        (start, end), (slope, last) = (
            self._positions[index : index + 2], length * self._velocities[index : index + 2]
        )  # fmt: skip
        cubic, square = 2 * start - 2 * end + slope + last, -3 * start + 3 * end - 2 * slope - last
        return (
            ((cubic * share + square) * share + slope) * share + start,
            ((3 * cubic * share + 2 * square) * share + slope) / length,
            (6 * cubic * share + 2 * square) / length**2,
        )


class _Node:
    """What the back-end asks of the command node."""

    def __init__(self, controller: TrajectoryController) -> None:
        self._controller = controller

    def advertise_as(self, kind: str, topic: str, profile: object) -> TrajectoryController:
        return self._controller

    def number(self, name: str) -> float:
        return 1e9 / CYCLE_NS


class Arm:
    """State machine, gates, back-end and controller in a row, on a clock of its own."""

    def __init__(self) -> None:
        """Stand at home, not started."""
        limits = safety_limits({p.name: p.default for p in SAFETY}, PERIOD_NS * 1e-9)
        box = Workspace(
            tuple(value - 0.02 for value in limits.workspace_minimum_m),
            tuple(value + 0.02 for value in limits.workspace_maximum_m),
        )
        self.motion = MotionPipeline(ROBOT, box, 0.25)
        settings = CommanderSettings(
            control_period_ns=PERIOD_NS,
            cycle_ns=CYCLE_NS,
            silence_timeout_ns=250 * MS,
            max_measured_age_ns=250 * MS,
            measured_wait_ns=20 * MS,
            rest_velocity_rad_s=0.05,
            home_rad=ROBOT.home_rad,
        )
        schedule = ChunkSchedule(STEPS, PERIOD_NS, 1000 * MS)
        self.commander = Commander(schedule, SafetyGate(limits), self.motion, settings)
        self.controller = TrajectoryController(HOME)
        self._backend = JointTrajectoryBackend(
            _Node(self.controller),
            self.motion,
            lambda topic: None,  # type: ignore[arg-type]
        )
        self.now_ns = 0
        self.positions: list[np.ndarray] = []
        self.accelerations: list[np.ndarray] = []

    @property
    def peak(self) -> float:
        """Largest share of the maker's joint accelerations that the controller asked for."""
        return float((np.abs(self.accelerations) / ALLOWED_RAD_S2).max())

    def run(self, until_ns: int, cycles: Iterable[int]) -> None:
        """Let time pass, millisecond by millisecond, with setpoints at the times of `cycles`.

        Args:
            until_ns: When to end.
            cycles: Increasing times of setpoints (ns).
        """
        ahead = [time for time in cycles if self.now_ns <= time < until_ns]
        for time_ns in sorted({*range(self.now_ns, until_ns, MS), *ahead}):
            self.controller.now_ns = time_ns
            position, velocity, acceleration = self.controller.at(time_ns)
            self.positions.append(position)
            self.accelerations.append(acceleration)
            self.commander.measure(MeasuredJoints(time_ns, position, velocity))
            if ahead and time_ns == ahead[0]:
                ahead.pop(0)
                setpoint = self.commander.cycle(time_ns)
                if setpoint is not None:
                    self._backend.send(setpoint)
        self.now_ns = until_ns

    def push(self, reach_m: float) -> None:
        """Push a chunk that leads sideways, each action a little farther."""
        position, rotation = tool_pose(self.controller.at(self.now_ns)[0])
        actions = np.tile(np.concatenate([position, rotation[:2].reshape(-1), [-1.0]]), (STEPS, 1))
        actions[:, 1] += reach_m * (1.0 + 0.4 * np.arange(STEPS))
        self.commander.push(ActionChunk(self.now_ns, actions))


def every_cycle(until_ns: int, missing: Sequence[tuple[int, int]] = ()) -> list[int]:
    """Return the times of setpoints, without those from a to b (ns) of each pair."""
    return [
        time
        for time in range(0, until_ns, CYCLE_NS)
        if not any(begin <= time < end for begin, end in missing)
    ]
