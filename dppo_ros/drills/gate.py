# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A storm of hostile chunks through the command side, and a judge who shares none of its code.

The command side is the real one: state machine, both gates, generator. Time is simulated, the arm
follows its setpoints with a lag. Every chunk is wrong in some way: random, huge, not finite, of
the wrong size, late, early, repeated, out of order, jumping between the ends of the workspace.
Measured joints fail now and then as well. After a fault the operator recovers and starts again.

The judge sees the setpoints that came out, nothing else, and compares their differences with the
limits in the robot's file.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dppo_ros.control.gate import Workspace
from dppo_ros.control.limits import Robot
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.command_state import CommanderSettings, MeasuredJoints, State
from dppo_ros.core.commander import Commander
from dppo_ros.core.errors import ActionError
from dppo_ros.core.safety import SafetyGate
from dppo_ros.core.safety_limits import SafetyLimits
from dppo_ros.drills.arm import tool_position_m
from dppo_ros.robots import find_robot

FloatArray = NDArray[np.float64]

CYCLE_NS = 10_000_000
_PERIOD_NS = 100_000_000
_ACT_STEPS = 8
_BLOCK = 5_000
_SLACK = 1e-3
_LAG = 0.35
_LOW, _HIGH = np.array([0.25, -0.55, 0.005]), np.array([0.8, 0.55, 0.4])
_MARGIN_M = 0.02
_MOST_KEPT = 20
_BURST = 8


@dataclass
class StormReport:
    """What came of a storm.

    Attributes:
        chunks: Chunks that were thrown at the command side.
        cycles: Setpoint cycles in which they came.
        setpoints: Setpoints that it sent.
        kinds: Chunks by kind.
        states: Cycles by state.
        faults: Faults by reason.
        violations: What the judge found, at most the first few in words.
        violation_count: How many it found.
        largest: Largest share of each limit that was used.
    """

    chunks: int = 0
    cycles: int = 0
    setpoints: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    violation_count: int = 0
    largest: dict[str, float] = field(default_factory=dict)


class Judge:
    """Compares a stream of setpoints with the limits, from the setpoints alone."""

    def __init__(self, robot: Robot, report: StormReport) -> None:
        """Judge by the limits in use of a robot."""
        self._limits = robot.policy
        self._report = report
        self._rows: list[tuple[int, FloatArray, FloatArray]] = []

    def see(self, stamp_ns: int, position: FloatArray, velocity: FloatArray) -> None:
        """Take a setpoint."""
        self._report.setpoints += 1
        # A silence ends a stretch: the next one begins at a standstill, wherever the arm is.
        if self._rows and stamp_ns - self._rows[-1][0] > CYCLE_NS:
            self.close()
        self._rows.append((stamp_ns, np.array(position), np.array(velocity)))
        if len(self._rows) >= _BLOCK:
            tail = self._rows[-3:]
            self.close()
            self._rows = tail

    def close(self) -> None:
        """Judge what was collected."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        positions = np.array([row[1] for row in rows])
        velocities = np.array([row[2] for row in rows])
        joints = self._limits.joints
        if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
            self._accuse("not finite")
            return
        self._within("joint range, lower", joints.position_min_rad - positions)
        self._within("joint range, upper", positions - joints.position_max_rad)
        self._share("stated velocity", velocities, joints.velocity_rad_s)
        tool = np.array([tool_position_m(row) for row in positions])
        self._within("workspace, lower", _LOW - _MARGIN_M - tool)
        self._within("workspace, upper", tool - _HIGH - _MARGIN_M)
        limits = (
            ("velocity", joints.velocity_rad_s),
            ("acceleration", joints.acceleration_rad_s2),
            ("jerk", joints.jerk_rad_s3),
        )
        tools = (
            self._limits.tool.linear_velocity_m_s,
            self._limits.tool.linear_acceleration_m_s2,
            self._limits.tool.linear_jerk_m_s3,
        )
        joint_change, tool_change, step = positions, tool, CYCLE_NS * 1e-9
        for order, (name, limit) in enumerate(limits):
            if len(joint_change) < 2:
                return
            joint_change = np.diff(joint_change, axis=0) / step
            tool_change = np.diff(tool_change, axis=0) / step
            self._share(f"joint {name}", joint_change, limit)
            self._share(
                f"tool {name}", np.linalg.norm(tool_change, axis=1)[:, None], (tools[order],)
            )

    def _share(self, what: str, values: FloatArray, limit: tuple[float, ...]) -> None:
        shares = np.abs(values) / np.array(limit)
        largest = float(shares.max())
        known = self._report.largest
        known[what] = max(known.get(what, 0.0), largest)
        if largest > 1.0 + _SLACK:
            self._accuse(
                f"{what} is {largest:.4f} times its limit", int((shares > 1 + _SLACK).sum())
            )

    def _within(self, what: str, beyond: FloatArray) -> None:
        if beyond.max() > 1e-6:
            self._accuse(f"{what} left by {beyond.max():.6f}", int((beyond > 1e-6).sum()))

    def _accuse(self, text: str, count: int = 1) -> None:
        self._report.violation_count += count
        if len(self._report.violations) < _MOST_KEPT:
            self._report.violations.append(text)


def storm(count: int, seed: int = 0, robot_name: str = "panda") -> StormReport:
    """Throw chunks at the command side and return what the judge saw.

    Args:
        count: How many.
        seed: Seed of everything random.
        robot_name: Whose limits apply.
    """
    robot = find_robot(robot_name)
    report = StormReport()
    weather = _Weather(np.random.default_rng(seed), robot)
    side = _CommandSide(robot, report)
    judge = Judge(robot, report)
    while report.chunks < count:
        now_ns = side.now_ns + CYCLE_NS
        burst = weather.burst(now_ns, side.tool)
        report.chunks += len(burst)
        report.cycles += 1
        report.kinds.update(kind for kind, _ in burst)
        chunks = [chunk for _, chunk in burst]
        side.cycle(now_ns, chunks, weather.measured(now_ns, side.joints), judge)
    judge.close()
    return report


class _CommandSide:
    """The real command side on a simulated arm."""

    def __init__(self, robot: Robot, report: StormReport) -> None:
        limits = SafetyLimits(
            workspace_minimum_m=tuple(_LOW),
            workspace_maximum_m=tuple(_HIGH),
            max_linear_velocity_m_s=1.0,
            max_angular_velocity_rad_s=6.0,
        )
        box = Workspace(tuple(_LOW - _MARGIN_M), tuple(_HIGH + _MARGIN_M))
        settings = CommanderSettings(
            control_period_ns=_PERIOD_NS,
            cycle_ns=CYCLE_NS,
            silence_timeout_ns=250_000_000,
            max_measured_age_ns=250_000_000,
            measured_wait_ns=20_000_000,
            rest_velocity_rad_s=robot.policy.rest_velocity_rad_s,
            home_rad=robot.home_rad,
        )
        self._commander = Commander(
            ChunkSchedule(_ACT_STEPS, _PERIOD_NS, 1_000_000_000),
            SafetyGate(limits),
            MotionPipeline(robot, box, 0.25),
            settings,
        )
        self._report = report
        self._home = np.array(robot.home_rad)
        self.joints = self._home.copy()
        self._target = self.joints.copy()
        self.now_ns = 0

    @property
    def tool(self) -> FloatArray:
        """Return where the tool is (3,), m."""
        return tool_position_m(self.joints)

    def cycle(
        self,
        now_ns: int,
        chunks: list[ActionChunk],
        measured: MeasuredJoints | None,
        judge: Judge,
    ) -> None:
        """Let one cycle pass."""
        self.now_ns = now_ns
        commander = self._commander
        if measured is not None:
            commander.measure(measured)
        self._operate()
        for chunk in chunks:
            with contextlib.suppress(ActionError):
                commander.push(chunk)
        before = commander.state
        setpoint = commander.cycle(now_ns)
        if commander.state is State.FAULT and before is not State.FAULT:
            self._report.faults[commander.reason] += 1
        if setpoint is not None:
            judge.see(setpoint.stamp_ns, setpoint.position, setpoint.velocity)
            self._target = np.array(setpoint.position)
        self.joints = self.joints + _LAG * (self._target - self.joints)
        self._report.states[commander.state.value] += 1

    def _operate(self) -> None:
        """Do what an operator does: recover from faults, bring the arm home, start."""
        commander = self._commander
        if commander.state is State.FAULT and commander.recover():
            commander.recovered()
            # Somebody guides the arm home by hand before it goes on.
            self.joints, self._target = self._home.copy(), self._home.copy()
            self.now_ns += CYCLE_NS
        elif commander.state is State.IDLE or (
            commander.state is State.HOLDING and self.now_ns % (50 * CYCLE_NS) == 0
        ):
            commander.start()


class _Weather:
    """Makes chunks and measurements that are wrong in every way."""

    def __init__(self, rng: np.random.Generator, robot: Robot) -> None:
        self._rng = rng
        self._last: ActionChunk | None = None
        self._walk = np.zeros(3)
        kinds: dict[str, Callable[[int, FloatArray], ActionChunk]] = {
            "plausible": self._plausible, "near": self._near, "anywhere": self._anywhere,
            "corner": self._corner, "oscillating": self._oscillating, "huge": self._huge,
            "not_finite": self._not_finite, "size": self._size, "late": self._late,
            "future": self._future, "repeated": self._repeated, "older": self._older,
            "jump_inside": self._jump_inside, "below_table": self._below_table,
        }  # fmt: skip
        weights = np.array([6, 4, 2, 2, 3, 1, 1, 1, 1, 0.5, 1, 1, 2, 2])
        self._kinds = list(kinds.items())
        self._weights = weights / weights.sum()

    def burst(self, now_ns: int, tool: FloatArray) -> list[tuple[str, ActionChunk]]:
        """Return the chunks of one cycle with their kinds: mostly several, each a bit newer."""
        number = int(self._rng.integers(1, 2 * _BURST))
        return [self._chunk(now_ns + index - number, tool) for index in range(number)]

    def _chunk(self, now_ns: int, tool: FloatArray) -> tuple[str, ActionChunk]:
        name, make = self._kinds[int(self._rng.choice(len(self._kinds), p=self._weights))]
        chunk = make(now_ns, tool)
        self._last = chunk
        return name, chunk

    def measured(self, now_ns: int, joints: FloatArray) -> MeasuredJoints | None:
        """Return what the robot reports: now and then nothing, nonsense or something old."""
        chance = self._rng.random()
        if chance < 0.02:
            return None
        values = joints.copy()
        if chance < 0.025:
            values[int(self._rng.integers(7))] = self._rng.choice([np.nan, np.inf, -np.inf])
        if chance < 0.0252:
            values = values + self._rng.normal(0.0, 0.5, 7)
        stamp_ns = now_ns - (300_000_000 if 0.03 < chance < 0.035 else 0)
        return MeasuredJoints(stamp_ns, values, self._rng.normal(0.0, 0.002, 7))

    def _actions(self, positions: FloatArray, spread: float) -> FloatArray:
        actions = np.zeros((len(positions), 10))
        actions[:, :3] = positions
        turn = np.array([0.70, -0.71, 0.0, -0.71, -0.70, 0.0])  # pointing down, about as at home
        actions[:, 3:9] = turn + self._rng.normal(0.0, spread, (len(positions), 6))
        actions[:, 9] = self._rng.choice([-1.0, 1.0])
        return actions

    def _steps(self) -> int:
        return int(self._rng.integers(1, _ACT_STEPS + 1))

    def _plausible(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        self._walk = 0.9 * self._walk + self._rng.normal(0.0, 0.01, 3)
        steps = np.arange(1, _ACT_STEPS + 1)[:, None]
        return ActionChunk(now_ns, self._actions(tool + 0.3 * self._walk * steps, 0.05))

    def _near(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        offsets = self._rng.normal(0.0, 0.05, (self._steps(), 3))
        return ActionChunk(now_ns, self._actions(tool + offsets, 0.3))

    def _anywhere(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        positions = self._rng.uniform(-1.5, 1.5, (self._steps(), 3))
        return ActionChunk(now_ns, self._actions(positions, 1.0))

    def _corner(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        corner = np.where(self._rng.random(3) < 0.5, _LOW - 0.1, _HIGH + 0.1)
        way = tool + (corner - tool) * 0.25
        return ActionChunk(now_ns, self._actions(np.tile(way, (_ACT_STEPS, 1)), 0.1))

    def _oscillating(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        side = 0.1 * np.where(self._rng.random(3) < 0.5, -1.0, 1.0)
        signs = np.where(np.arange(_ACT_STEPS) % 2 == 0, 1.0, -1.0)[:, None]
        return ActionChunk(now_ns, self._actions(tool + signs * side, 0.2))

    def _jump_inside(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        goal = tool + self._rng.normal(0.0, 0.12, 3)
        return ActionChunk(now_ns, self._actions(np.tile(goal, (_ACT_STEPS, 1)), 0.6))

    def _below_table(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        goal = tool * [1.0, 1.0, 0.0] - [0.0, 0.0, self._rng.uniform(0.0, 0.2)]
        way = tool + (goal - tool) * np.linspace(0.1, 1.0, _ACT_STEPS)[:, None]
        return ActionChunk(now_ns, self._actions(way, 0.2))

    def _huge(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        actions = self._actions(np.zeros((self._steps(), 3)), 1.0)
        return ActionChunk(now_ns, actions * 10.0 ** self._rng.uniform(1, 300))

    def _not_finite(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        chunk = self._near(now_ns, tool)
        row, column = self._rng.integers(len(chunk.actions)), self._rng.integers(10)
        chunk.actions[row, column] = self._rng.choice([np.nan, np.inf, -np.inf])
        return chunk

    def _size(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        rows, columns = self._rng.integers(0, 20), self._rng.integers(0, 20)
        return ActionChunk(now_ns, self._rng.normal(size=(rows, columns)))

    def _late(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        chunk = self._near(now_ns, tool)
        return ActionChunk(now_ns - int(self._rng.integers(0, 5_000_000_000)), chunk.actions)

    def _future(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        chunk = self._near(now_ns, tool)
        return ActionChunk(now_ns + int(self._rng.integers(0, 100_000_000)), chunk.actions)

    def _repeated(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        return self._last or self._near(now_ns, tool)

    def _older(self, now_ns: int, tool: FloatArray) -> ActionChunk:
        chunk = self._last or self._near(now_ns, tool)
        return ActionChunk(chunk.stamp_ns - 1, chunk.actions)
