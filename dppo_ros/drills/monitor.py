# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An independent judge: looks at every command and says which limits it breaks.

It shares no arithmetic with the safety gate. Limits of the arm are those of the maker, the box is
the one that the command node is told to keep to, and a command stream that starts again after a
pause has to start where the robot is measured.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.drills.arm import JOINTS, PANDA, ArmLimits, tool_position_m

FloatArray = NDArray[np.float64]
_NS = 1e-9
_KEPT_EXAMPLES = 20


@dataclass(frozen=True)
class Expectations:
    """What a command may be.

    Attributes:
        arm: Limits of the arm.
        box_low_m: Lower corner of the workspace (m, base frame).
        box_high_m: Upper corner of the workspace (m, base frame).
        box_margin_m: How far rounding and the braking distance may reach beyond the box (m).
        pause_s: A stream that was silent for longer starts anew.
        clock_jump_s: Stamps further apart than this tell that the clock was set (s).
        start_distance_rad: How far from the measured joints a stream may start (rad).
        distance_rad: How far from the measured joints a command may be at any time, besides how
            far the arm can have gone since (rad): what the arm's description allows.
        slack: Share by which a difference quotient may exceed a limit, as rounding does.
    """

    arm: ArmLimits = PANDA
    box_low_m: tuple[float, float, float] = (0.25, -0.55, 0.005)
    box_high_m: tuple[float, float, float] = (0.8, 0.55, 0.4)
    box_margin_m: float = 0.005
    pause_s: float = 0.05
    clock_jump_s: float = 1.0
    start_distance_rad: float = 0.05
    distance_rad: float = 0.5
    slack: float = 0.02


@dataclass
class Extremes:
    """The most that any command asked for, as shares of the limits where there is one.

    Attributes:
        step_rad: Largest change of a joint from one command to the next (rad).
        speed: Largest joint speed.
        acceleration: Largest joint acceleration.
        tool_speed_m_s: Largest speed of the tool (m/s).
        distance_rad: Largest distance of a joint from where it was measured (rad).
        lowest_m: Lowest height of the tool (m).
    """

    step_rad: float = 0.0
    speed: float = 0.0
    acceleration: float = 0.0
    tool_speed_m_s: float = 0.0
    distance_rad: float = 0.0
    lowest_m: float = math.inf


@dataclass(frozen=True, eq=False)
class _Command:
    stamp_ns: int
    arrival_ns: int
    position: FloatArray
    velocity: FloatArray
    tool_m: FloatArray


@dataclass
class CommandMonitor:
    """Judges commands one after the other.

    Attributes:
        expected: What a command may be.
        commands: How many were judged.
        violations: How often each rule was broken.
        examples: The first broken rules in words.
        extremes: The most that was asked for.
        unjudged: How many commands came while judging was suspended.
        suspended: Commands are only counted: the simulated arm is put elsewhere.
    """

    expected: Expectations = field(default_factory=Expectations)
    commands: int = 0
    violations: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    extremes: Extremes = field(default_factory=Extremes)
    _last: _Command | None = None
    unjudged: int = 0
    suspended: bool = False
    _measured: FloatArray | None = None
    _measured_ns: int = 0

    def measured(self, arrival_ns: int, joints_rad: ArrayLike) -> None:
        """Take the measured joints; numbers that are not finite are ignored.

        Args:
            arrival_ns: When they came, on the clock of the judge (ns).
            joints_rad: (7,) joint angles.
        """
        values = np.asarray(joints_rad, dtype=np.float64)
        if values.shape == (JOINTS,) and np.isfinite(values).all():
            self._measured, self._measured_ns = values, arrival_ns

    def joint_command(
        self, stamp_ns: int, arrival_ns: int, position: ArrayLike, velocity: ArrayLike
    ) -> None:
        """Judge a joint command.

        Args:
            stamp_ns: Its time (ns).
            arrival_ns: When it came, on the clock of the judge (ns).
            position: Joint angles (rad), (7,) if all is well.
            velocity: Joint speeds (rad/s), (7,) if all is well.
        """
        if self.suspended:
            self.unjudged += 1
            return
        self.commands += 1
        q, dq = np.asarray(position, dtype=np.float64), np.asarray(velocity, dtype=np.float64)
        if q.shape != (JOINTS,) or dq.shape != (JOINTS,):
            self._broken("shape", f"{q.size} positions and {dq.size} velocities")
            return
        if not (np.isfinite(q).all() and np.isfinite(dq).all()):
            self._broken("not finite", f"positions {q}, velocities {dq}")
            return
        arm = self.expected.arm
        if (q < arm.lower_rad).any() or (q > arm.upper_rad).any():
            self._broken("joint limit", f"positions {np.round(q, 4)}")
        self._check_speed(np.abs(dq) / arm.velocity_rad_s)
        tool = tool_position_m(q)
        self._check_box(tool)
        command = _Command(stamp_ns, arrival_ns, q, dq, tool)
        self._check_measured(command)
        self._check_step(command)
        self._last = command

    def target_pose(self, pose: ArrayLike) -> None:
        """Judge a tool goal: (7,) position (m) and quaternion xyzw."""
        self.commands += 1
        values = np.asarray(pose, dtype=np.float64)
        if values.shape != (7,) or not np.isfinite(values).all():
            self._broken("not finite", f"tool goal {values}")
            return
        self._check_box(values[:3])
        if abs(float(np.linalg.norm(values[3:])) - 1.0) > 1e-3:
            self._broken("not a rotation", f"quaternion {values[3:]}")

    def gripper(self, value: float) -> None:
        """Judge a gripper command: a latch value from -1 to 1."""
        if not -1.0 <= value <= 1.0:
            self._broken("gripper", f"latch value {value}")

    def restart(self) -> None:
        """Forget the last command: the next one begins a stream."""
        self._last = None
        self._measured = None

    @property
    def broken(self) -> int:
        """Return how many violations there were."""
        return sum(self.violations.values())

    def _check_speed(self, share: FloatArray) -> None:
        worst = float(share.max())
        self.extremes.speed = max(self.extremes.speed, worst)
        if worst > 1.0:
            self._broken("speed", f"joint {int(share.argmax()) + 1} at {worst:.3f} of its limit")

    def _check_box(self, tool_m: FloatArray) -> None:
        expected = self.expected
        self.extremes.lowest_m = min(self.extremes.lowest_m, float(tool_m[2]))
        low = np.array(expected.box_low_m) - expected.box_margin_m
        high = np.array(expected.box_high_m) + expected.box_margin_m
        if (tool_m < low).any() or (tool_m > high).any():
            self._broken("workspace", f"tool at {np.round(tool_m, 4)} m")

    def _check_measured(self, command: _Command) -> None:
        if self._measured is None:
            return
        distances = np.abs(command.position - self._measured)
        distance = float(distances.max())
        self.extremes.distance_rad = max(self.extremes.distance_rad, distance)
        # Since it was measured the arm may have gone on.
        age_s = max(command.arrival_ns - self._measured_ns, 0) * _NS
        gone_on = self.expected.arm.velocity_rad_s * age_s
        if (distances > self.expected.distance_rad + gone_on).any():
            self._broken("far from measured", f"{distance:.3f} rad from the measured joints")
        elif (
            distance > self.expected.start_distance_rad
            and self._pause_s(command) > self.expected.pause_s
        ):
            self._broken("start", f"stream starts {distance:.3f} rad from the measured joints")

    def _check_step(self, command: _Command) -> None:
        last, elapsed_s = self._last, self._pause_s(command)
        if last is None or elapsed_s > self.expected.pause_s:
            return
        if abs(command.stamp_ns - last.stamp_ns) * _NS >= self.expected.clock_jump_s:
            # The clock was set. Arrivals scatter, and nobody can know how much time it left out.
            elapsed_s = max(elapsed_s, 0.0) + self.expected.pause_s
        elif elapsed_s <= 0.0:
            self._broken("order", f"stamp {-elapsed_s * 1e3:.3f} ms before the last one or equal")
            return
        arm, allowed = self.expected.arm, 1.0 + self.expected.slack
        step = np.abs(command.position - last.position)
        self.extremes.step_rad = max(self.extremes.step_rad, float(step.max()))
        quotient = float((step / elapsed_s / arm.velocity_rad_s).max())
        if quotient > allowed:
            self._broken("jump", f"{step.max():.4f} rad in {elapsed_s * 1e3:.2f} ms")
        change = np.abs(command.velocity - last.velocity) / elapsed_s / arm.acceleration_rad_s2
        self.extremes.acceleration = max(self.extremes.acceleration, float(change.max()))
        if change.max() > allowed:
            self._broken("acceleration", f"{change.max():.2f} of the limit of a joint")
        speed = float(np.linalg.norm(command.tool_m - last.tool_m)) / elapsed_s
        self.extremes.tool_speed_m_s = max(self.extremes.tool_speed_m_s, speed)
        if speed > arm.tool_velocity_m_s * allowed:
            self._broken("tool speed", f"{speed:.2f} m/s")

    def _pause_s(self, command: _Command) -> float:
        """Return the time since the last command (s): by the stamps, or else by the arrivals."""
        if self._last is None:
            return math.inf
        stamped_s = (command.stamp_ns - self._last.stamp_ns) * _NS
        if abs(stamped_s) < self.expected.clock_jump_s:
            return stamped_s
        return (command.arrival_ns - self._last.arrival_ns) * _NS

    def _broken(self, rule: str, example: str) -> None:
        self.violations[rule] += 1
        if len(self.examples) < _KEPT_EXAMPLES:
            self.examples.append(f"command {self.commands}, {rule}: {example}")
