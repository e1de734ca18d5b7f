# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A command state machine on a fake clock, with a recording motion in place of the real one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.command_state import CommanderSettings, MeasuredJoints, Setpoint, State
from dppo_ros.core.commander import Commander
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.motion import Measurement
from dppo_ros.core.safety import SafetyGate
from dppo_ros.core.safety_limits import SafetyLimits

MS = 1_000_000
PERIOD, CYCLE = 100 * MS, 10 * MS
HOME = np.array([-0.0263, 0.3759, 0.1249, -2.1383, -0.0943, 2.4965, 0.0192])
TOOL, BASE_FROM_TOOL = tool_pose(HOME)
STOP_STEPS = 3


@dataclass
class Point:
    """A setpoint of the recording motion."""

    position: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(7))


class RecordingMotion:
    """Moves straight to a target, needs a few steps to stop, refuses on demand."""

    def __init__(self) -> None:
        self.target: np.ndarray | None = None
        self.steps_to_rest = 0
        self.stopping = False
        self.refuse = ""
        self.begun_at: list[np.ndarray] = []
        self.forgotten = 0
        self.coasts = False
        self.coasted_s: list[float] = []
        self.steps_s: list[float] = []
        self.targets: list[np.ndarray] = []

    @property
    def at_rest(self) -> bool:
        return self.steps_to_rest == 0

    @property
    def arrived(self) -> bool:
        return self.target is not None and not self.stopping

    def begin(self, measured: np.ndarray) -> str:
        self.begun_at.append(measured)
        self.steps_to_rest, self.stopping = 0, False
        return ""

    def forget(self) -> None:
        self.forgotten += 1

    def coast(self, missed_s: float) -> bool:
        self.coasted_s.append(missed_s)
        return self.coasts

    def follow(self, target: np.ndarray) -> None:
        self.target, self.stopping = target, False
        self.targets.append(target)

    def go_to(self, posture: np.ndarray) -> bool:
        self.follow(posture)
        return True

    def stop(self) -> None:
        self.stopping = True

    def step(self, step_s: float, measured: Measurement | None) -> tuple[Point, str]:
        assert 0.0 < step_s <= 0.05
        self.steps_s.append(step_s)
        if not self.stopping and self.refuse:
            self.stopping = True
            return Point(np.zeros(7)), self.refuse
        if self.stopping:
            self.steps_to_rest = max(0, self.steps_to_rest - 1)
        elif self.target is not None:
            self.steps_to_rest = STOP_STEPS
        return Point(np.zeros(7)), ""


def commander(**changes: object) -> tuple[Commander, RecordingMotion]:
    values: dict[str, object] = {
        "control_period_ns": PERIOD,
        "cycle_ns": CYCLE,
        "silence_timeout_ns": 250 * MS,
        "max_measured_age_ns": 250 * MS,
        "measured_wait_ns": 20 * MS,
        "rest_velocity_rad_s": 0.05,
        "home_rad": tuple(HOME),
    }
    motion = RecordingMotion()
    made = Commander(
        ChunkSchedule(4, PERIOD, 1000 * MS),
        SafetyGate(SafetyLimits()),
        motion,
        CommanderSettings(**{**values, **changes}),  # type: ignore[arg-type]
    )
    return made, motion


def chunk(stamp_ns: int, offset_m: float = 0.01, steps: int = 4) -> ActionChunk:
    actions = np.zeros((steps, 10))
    actions[:, :3] = TOOL + np.arange(1, steps + 1)[:, None] * [offset_m, 0.0, 0.0]
    actions[:, 3:9] = BASE_FROM_TOOL[:2].reshape(-1)
    actions[:, 9] = -1.0
    return ActionChunk(stamp_ns, actions)


def see(machine: Commander, now_ns: int, joints: np.ndarray = HOME, speed: float = 0.0) -> None:
    machine.measure(MeasuredJoints(now_ns, np.array(joints), np.full(7, speed)))


def run(machine: Commander, start_ns: int, end_ns: int, measure: bool = True) -> list[Setpoint]:
    sent = []
    for now in range(start_ns, end_ns, CYCLE):
        if measure:
            see(machine, now)
        setpoint = machine.cycle(now)
        if setpoint is not None:
            sent.append(setpoint)
    return sent


def running(**changes: object) -> tuple[Commander, RecordingMotion]:
    machine, motion = commander(**changes)
    assert machine.start()
    see(machine, 0)
    machine.push(chunk(0))
    run(machine, 0, PERIOD)
    assert machine.state is State.RUNNING
    return machine, motion
