# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An independent judge: looks at every command and says which limits it breaks.

It shares no arithmetic with the safety gate. Limits of the arm are those of the maker, the box is
the one that the command node is told to keep to, and a command stream that starts again after a
pause has to start where the robot is measured.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.drills.arm import JOINTS, PANDA, ArmLimits, tool_position_m

FloatArray = NDArray[np.float64]
_NS = 1e-9
_KEPT_EXAMPLES = 20
_KEPT_MEASUREMENTS = 100


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
        distance_rad: How far from the measured joints a command may be (rad): what the arm's
            description allows. The stop that ends a stream there leads further, and since the
            newest measurement the arm may have gone on.
        gone_on_rad_s: How fast it may have (rad/s): a twin that was kept waiting catches up faster
            than an arm could; what is faster than this, the command node takes for a jump.
        measured_age_s: Oldest measurement on which a command may rest (s), as the command node is
            told. A busy machine delivers late, and the judge cannot know which one it had.
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
    gone_on_rad_s: float = 6.0
    measured_age_s: float = 0.25
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
    number: int | None


@dataclass(frozen=True, eq=False)
class _Measured:
    stamp_ns: int
    arrival_ns: int
    position: FloatArray


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
    _measured: deque[_Measured] = field(default_factory=lambda: deque(maxlen=_KEPT_MEASUREMENTS))

    def measured(self, stamp_ns: int, arrival_ns: int, joints_rad: ArrayLike) -> None:
        """Take the measured joints; numbers that are not finite are ignored.

        Args:
            stamp_ns: When they were measured (ns).
            arrival_ns: When they came, on the clock of the judge (ns).
            joints_rad: (7,) joint angles.
        """
        values = np.asarray(joints_rad, dtype=np.float64)
        if values.shape == (JOINTS,) and np.isfinite(values).all():
            self._measured.append(_Measured(stamp_ns, arrival_ns, values))

    def joint_command(
        self,
        stamp_ns: int,
        arrival_ns: int,
        position: ArrayLike,
        velocity: ArrayLike,
        number: int | None = None,
    ) -> None:
        """Judge a joint command.

        Args:
            stamp_ns: Its time (ns).
            arrival_ns: When it came, on the clock of the judge (ns).
            position: Joint angles (rad), (7,) if all is well.
            velocity: Joint speeds (rad/s), (7,) if all is well.
            number: Which message of its publisher it is, to tell messages that were lost on the
                way from a pause; None where the middleware does not count.
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
        command = _Command(stamp_ns, arrival_ns, q, dq, tool, number)
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
        self._measured.clear()

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
        """Judge by the measurement that speaks most for the command, of those it may rest on."""
        known = self._known(command)
        if not known:
            return
        allowed, arm = self.expected, self.expected.arm
        offsets = [np.abs(command.position - measured.position) for measured in known]
        distance = float(min(offset.max() for offset in offsets))
        self.extremes.distance_rad = max(self.extremes.distance_rad, distance)
        braking = arm.velocity_rad_s**2 / (2.0 * arm.acceleration_rad_s2)
        gone_on = allowed.gone_on_rad_s * max(self._between_s(known[0], command), 0.0)
        bounds = [allowed.distance_rad + braking + gone_on, allowed.distance_rad + braking]
        if (offsets[0] > bounds[0]).any() and all((it > bounds[1]).any() for it in offsets[1:]):
            self._broken("far from measured", f"{distance:.3f} rad from the measured joints")
        pause_s = self._pause_s(command) / self._sent_since_last(command)
        if distance > allowed.start_distance_rad and pause_s > allowed.pause_s:
            told = f"stream starts {distance:.3f} rad from the measured joints"
            self._broken("start", f"{told} after a pause of {pause_s * 1e3:.0f} ms")

    def _known(self, command: _Command) -> list[_Measured]:
        """Return the measurements that a command may rest on, newest first."""
        known: list[_Measured] = []
        for measured in reversed(self._measured):
            age_s = self._between_s(measured, command)
            if known and age_s > self.expected.measured_age_s:
                break
            if age_s >= 0.0:
                known.append(measured)
        # A command from before the first measurement is judged by that one.
        return known or [*self._measured][:1]

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
        """Return the time since the last command (s)."""
        if self._last is None:
            return math.inf
        return self._between_s(self._last, command)

    def _between_s(self, earlier: _Command | _Measured, command: _Command) -> float:
        """Return the time from one message to a command (s): by stamps, or else by arrivals."""
        stamped_s = (command.stamp_ns - earlier.stamp_ns) * _NS
        if abs(stamped_s) < self.expected.clock_jump_s:
            return stamped_s
        return (command.arrival_ns - earlier.arrival_ns) * _NS

    def _sent_since_last(self, command: _Command) -> int:
        """Return how many commands were sent since the last one here, this one included."""
        if self._last is None or self._last.number is None or command.number is None:
            return 1
        return max(command.number - self._last.number, 1)

    def _broken(self, rule: str, example: str) -> None:
        self.violations[rule] += 1
        if len(self.examples) < _KEPT_EXAMPLES:
            self.examples.append(f"command {self.commands}, {rule}: {example}")
