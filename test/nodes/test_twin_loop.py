# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The twin's loop on a fake cell: order of messages, lockstep, setpoints, episode ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from dppo_ros.nodes.twin import Episode, SetpointInbox, TwinLoop, TwinSettings

TICK_NS = 100_000_000


@dataclass
class State:
    """The part of a cell state that the loop reads."""

    success: bool = False


@dataclass
class FakeCell:
    """Notes what it is asked to do; succeeds after some control steps."""

    succeed_after: int = 10**9
    log: list[tuple[object, ...]] = field(default_factory=list)
    steps: int = 0

    def reset(self, seed: int, randomness: str | None = None) -> State:
        self.log.append(("reset", seed, randomness))
        self.steps = 0
        return self.state()

    def set_joint_reference(self, position: np.ndarray, velocity: np.ndarray) -> None:
        self.log.append(("setpoint", self.steps, float(position[0])))

    def set_gripper(self, value: float) -> None:
        self.log.append(("gripper", self.steps, value))

    def advance(self, physics_steps: int) -> None:
        self.steps += physics_steps

    def state(self) -> State:
        return State(self.steps >= self.succeed_after * 50)


class Robot:
    """Collects the output and, in lockstep tests, answers like a command node."""

    def __init__(self, stop_after: int) -> None:
        self.stop = threading.Event()
        self.loop: TwinLoop | None = None
        self.ticks: list[tuple[int, Episode]] = []
        self.clock: list[int] = []
        self.ended: list[Episode] = []
        self.answers = True
        self._stop_after = stop_after

    def send_clock(self, stamp_ns: int) -> None:
        self.clock.append(stamp_ns)

    def send_joints(self, stamp_ns: int, state: object) -> None:
        if self.answers and self.loop is not None:
            threading.Thread(target=self._answer, args=(stamp_ns,)).start()

    def send_tick(self, stamp_ns: int, state: object, episode: Episode) -> None:
        self.ticks.append((stamp_ns, episode))
        if len(self.ticks) > self._stop_after:
            self.stop.set()

    def _answer(self, stamp_ns: int) -> None:
        assert self.loop is not None
        self.loop.inbox.put_gripper(stamp_ns, 1.0)
        self.loop.inbox.put_joints(stamp_ns, np.full(7, 10 * stamp_ns / TICK_NS), np.zeros(7))

    def episode_ended(self, episode: Episode) -> None:
        self.ended.append(episode)


def run(cell: FakeCell, robot: Robot, lockstep: bool, max_steps: int = 1000) -> TwinLoop:
    settings = TwinSettings(TICK_NS, 2_000_000, 10, lockstep, 0.2, max_steps)
    loop = TwinLoop(cell, settings, robot, lambda: (7, "low", 0.0))  # type: ignore[arg-type]
    robot.loop = loop
    loop.run(robot.stop)
    return loop


def test_lockstep_applies_every_setpoint_in_its_own_slice() -> None:
    cell, robot = FakeCell(), Robot(stop_after=6)
    loop = run(cell, robot, lockstep=True)
    setpoints = [entry for entry in cell.log if entry[0] == "setpoint"][:60]
    assert setpoints == [("setpoint", 5 * part, float(part)) for part in range(60)]
    assert {entry[2] for entry in cell.log if entry[0] == "gripper"} == {1.0}
    assert loop.lockstep_timeouts == 0
    assert [stamp for stamp, _ in robot.ticks] == [tick * TICK_NS for tick in range(7)]


def test_dead_command_side_costs_one_timeout_and_time_goes_on() -> None:
    cell, robot = FakeCell(), Robot(stop_after=4)
    robot.answers = False
    loop = run(cell, robot, lockstep=True)
    assert loop.lockstep_timeouts == 1
    assert len(robot.ticks) == 5


def test_clock_advances_by_slices_and_never_back() -> None:
    robot = Robot(stop_after=3)
    run(FakeCell(), robot, lockstep=False)
    steps = set(np.diff(robot.clock[:25]))
    assert steps == {TICK_NS // 10}


@pytest.mark.parametrize(
    ("succeed_after", "outcome", "step"), [(3, "succeeded", 3), (99, "time limit", 5)]
)
def test_episode_ends_once_with_its_outcome(succeed_after: int, outcome: str, step: int) -> None:
    robot = Robot(stop_after=8)
    run(FakeCell(succeed_after), robot, lockstep=False, max_steps=5)
    assert robot.ended == [Episode(0, step, outcome)]
    assert robot.ticks[-1][1].outcome == outcome


def test_reset_begins_a_new_episode_while_time_goes_on() -> None:
    cell, robot = FakeCell(), Robot(stop_after=4)
    settings = TwinSettings(TICK_NS, 2_000_000, 10, False, 0.2, 1000)
    loop = TwinLoop(cell, settings, robot, lambda: (7, "low", 0.0))  # type: ignore[arg-type]
    loop.request_reset()
    loop.run(robot.stop)
    assert [entry for entry in cell.log if entry[0] == "reset"] == [("reset", 7, "low")] * 2
    assert {episode.number for _, episode in robot.ticks} == {1}
    assert [stamp for stamp, _ in robot.ticks] == [tick * TICK_NS for tick in range(5)]


def test_setpoint_from_before_a_reset_does_not_pull_the_arm_back() -> None:
    inbox = SetpointInbox()
    inbox.clear(100)
    inbox.put_joints(99, np.ones(7), np.zeros(7))
    assert inbox.take()[0] is None
    assert not inbox.wait_for(0, 0.0)
    inbox.put_joints(100, np.ones(7), np.zeros(7))
    assert inbox.take()[0] is not None


def test_inbox_hands_over_setpoints_once_and_refuses_what_is_not_finite() -> None:
    inbox = SetpointInbox()
    assert not inbox.wait_for(5, 0.0)
    inbox.put_joints(5, np.ones(7), np.zeros(7))
    assert inbox.wait_for(5, 0.0)
    inbox.put_gripper(4, -1.0)
    assert not inbox.wait_for(5, 0.0)  # from now on both are waited for
    inbox.put_gripper(5, 1.0)
    assert inbox.wait_for(5, 0.0)
    assert not inbox.wait_for(6, 0.0)
    joints, gripper = inbox.take()
    assert joints is not None
    assert gripper == 1.0
    assert inbox.take() == (None, 1.0)
    inbox.put_joints(6, np.full(7, np.nan), np.zeros(7))
    assert inbox.take()[0] is None
