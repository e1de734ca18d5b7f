# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The twin's loop: simulated time, physics slices, observations out, targets in.

Runs in its own thread and owns the simulated cell; the node around it only carries messages.
No rclpy here, so that timing and lockstep can be tested without a graph.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dppo_ros.core.rotations import FloatArray

if TYPE_CHECKING:
    from sim_training.envs.furniture.cell import CellState

_AHEAD_NS = 20_000_000
_CLOCK_REPEAT_S = 0.02
_MAX_LAG_S = 0.5

RUNNING = "running"
SUCCEEDED = "succeeded"
TIME_LIMIT = "time limit"


class Cell(Protocol):
    """What the loop needs from ``FurnitureCell``."""

    def reset(self, seed: int, randomness: str | None = None) -> CellState:
        """Start a new episode."""
        ...

    def set_joint_reference(self, position: FloatArray, velocity: FloatArray) -> None:
        """Follow a setpoint from now on."""
        ...

    def set_gripper(self, value: float) -> None:
        """Set the gripper latch."""
        ...

    def advance(self, physics_steps: int) -> None:
        """Run physics steps."""
        ...

    def state(self) -> CellState:
        """Return the present state."""
        ...


@dataclass(frozen=True)
class TwinSettings:
    """How the twin runs.

    Attributes:
        control_period_ns: Time between control ticks (ns).
        physics_step_ns: Time of one physics step (ns).
        slices_per_tick: Physics slices in a tick.
        lockstep: Wait at every tick for the command of that tick.
        lockstep_timeout_s: Longest such wait (s, wall).
        max_episode_steps: Control steps until the episode ends unassembled.
        await_observation: In lockstep, wait for the observation of the tick too. Pictures take
            longer than anything else, and one may be lost.
        simulated_time: Time counts from 0; otherwise it is the time of day, and the loop, when it
            falls behind, skips what it missed, as a robot's clock would.
    """

    control_period_ns: int
    physics_step_ns: int
    slices_per_tick: int
    lockstep: bool
    lockstep_timeout_s: float
    max_episode_steps: int
    simulated_time: bool = True
    await_observation: bool = False

    @property
    def slice_ns(self) -> int:
        """Return the simulated time of one slice (ns)."""
        return self.control_period_ns // self.slices_per_tick

    @property
    def physics_steps(self) -> int:
        """Return the physics steps of one slice."""
        return self.slice_ns // self.physics_step_ns


@dataclass(frozen=True)
class Episode:
    """Where the episode stands.

    Attributes:
        number: Episodes since the start, from 0.
        step: Control steps of this episode.
        outcome: ``running``, ``succeeded`` or ``time limit``.
    """

    number: int = 0
    step: int = 0
    outcome: str = RUNNING


class SetpointInbox:
    """Newest joint setpoint and gripper value."""

    def __init__(self) -> None:
        """Start empty."""
        self._changed = threading.Condition()
        self._joints: tuple[int, FloatArray, FloatArray] | None = None
        self._gripper: tuple[int, float] | None = None
        self._newest_ns = -1
        self._since_ns = -1

    def put_joints(self, stamp_ns: int, position: FloatArray, velocity: FloatArray) -> None:
        """Take a setpoint, unless a number in it is not finite or it is for an earlier episode."""
        if np.isfinite(position).all() and np.isfinite(velocity).all():
            with self._changed:
                if stamp_ns < self._since_ns:
                    return
                self._joints = (stamp_ns, position, velocity)
                self._newest_ns = max(self._newest_ns, stamp_ns)
                self._changed.notify_all()

    def put_gripper(self, stamp_ns: int, value: float) -> None:
        """Take a gripper value, unless it is not finite."""
        if np.isfinite(value):
            with self._changed:
                self._gripper = (stamp_ns, value)
                self._changed.notify_all()

    def clear(self, since_ns: int = -1) -> None:
        """Forget what was not taken, and take no setpoint from before a time (ns).

        A setpoint that was under way when the arm was put elsewhere would pull it back.
        """
        with self._changed:
            self._joints = self._gripper = None
            self._since_ns = since_ns

    def wait_for(self, stamp_ns: int, timeout_s: float) -> bool:
        """Return whether a setpoint for this stamp or a later one came in time.

        Once there was a gripper value, that of the same stamp is waited for too: the two come on
        topics of their own.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._complete(stamp_ns), timeout_s)

    def take(self) -> tuple[tuple[FloatArray, FloatArray] | None, float | None]:
        """Return the newest setpoint once, and the newest gripper value."""
        with self._changed:
            joints, self._joints = self._joints, None
            return joints[1:] if joints else None, self._gripper[1] if self._gripper else None

    def _complete(self, stamp_ns: int) -> bool:
        gripper = self._gripper is None or self._gripper[0] >= stamp_ns
        return self._newest_ns >= stamp_ns and gripper


class StampGate:
    """Lets a thread wait until something that carries a time has arrived."""

    def __init__(self) -> None:
        """Start with nothing arrived."""
        self._changed = threading.Condition()
        self._newest_ns = -1

    def put(self, stamp_ns: int) -> None:
        """Note an arrival."""
        with self._changed:
            self._newest_ns = max(self._newest_ns, stamp_ns)
            self._changed.notify_all()

    def wait_for(self, stamp_ns: int, timeout_s: float) -> bool:
        """Return whether this stamp or a later one arrived in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._newest_ns >= stamp_ns, timeout_s)


class TwinOutput(Protocol):
    """Where the loop reports to."""

    def send_clock(self, stamp_ns: int) -> None:
        """Publish simulated time."""
        ...

    def send_joints(self, stamp_ns: int, state: CellState) -> None:
        """Publish the joints, after every slice."""
        ...

    def send_tick(self, stamp_ns: int, state: CellState, episode: Episode) -> None:
        """Publish the observation set and the task status, at every control tick."""
        ...

    def episode_ended(self, episode: Episode) -> None:
        """Learn that the episode has just ended."""
        ...


class TwinLoop:
    """Advances the cell in simulated time until it is told to stop."""

    def __init__(
        self,
        cell: Cell,
        settings: TwinSettings,
        output: TwinOutput,
        start: Callable[[], tuple[int, str, float]],
    ) -> None:
        """Prepare the loop; ``run`` does the work.

        Args:
            cell: The simulated cell.
            settings: How it runs.
            output: Where it reports to.
            start: Returns seed, randomness and real-time factor as they are set now.
        """
        self._cell = cell
        self._settings = settings
        self._output = output
        self._start = start
        self._time_ns = 0
        self._deadline_s = 0.0
        self._silent: set[str] = set()
        self._reset_wanted = threading.Event()
        self.inbox = SetpointInbox()
        self.observed = StampGate()
        self.episode = Episode()
        self.lockstep_timeouts = 0
        self.lags = 0

    def request_reset(self) -> None:
        """Start a new episode at the next control tick; safe from any thread."""
        self._reset_wanted.set()

    def run(self, stop: threading.Event) -> None:
        """Run until the event is set."""
        self._begin_episode(self.episode.number)
        self._deadline_s = time.monotonic()
        if not self._settings.simulated_time:
            self._time_ns = time.time_ns()
        while not stop.is_set():
            if self._reset_wanted.is_set():
                self._reset_wanted.clear()
                self._begin_episode(self.episode.number + 1)
            self._tick(stop)

    def _begin_episode(self, number: int) -> None:
        seed, randomness, _ = self._start()
        self._state = self._cell.reset(seed, randomness)
        # Setpoints carry the time they are for, which lies a little ahead of when they were made.
        ahead_ns = 0 if self._settings.lockstep else _AHEAD_NS
        self.inbox.clear(self._time_ns + ahead_ns)
        self.episode = Episode(number)

    def _tick(self, stop: threading.Event) -> None:
        """One control period: report, take the command, advance the physics."""
        state = self._state
        ended = self._judge(state)
        # Joints first: joints and part poses make the observation, the rest can wait.
        self._output.send_joints(self._time_ns, state)
        self._output.send_tick(self._time_ns, state, self.episode)
        self._output.send_clock(self._time_ns)
        if ended:
            self._output.episode_ended(self.episode)
        waits = self._settings.lockstep and self.episode.outcome == RUNNING
        if waits and self._settings.await_observation:
            self._await("observation", self.observed.wait_for, stop)
        for index in range(self._settings.slices_per_tick):
            if waits:
                self._await("command", self.inbox.wait_for, stop)
            self._apply()
            self._cell.advance(self._settings.physics_steps)
            # Before the wait, so that what is published is no older than its stamp says.
            self._state = self._cell.state()
            self._time_ns += self._settings.slice_ns
            self._pace(stop)
            if stop.is_set():
                return
            if index + 1 < self._settings.slices_per_tick:
                self._output.send_joints(self._time_ns, self._state)
                self._output.send_clock(self._time_ns)
        self.episode = Episode(self.episode.number, self.episode.step + 1, self.episode.outcome)

    def _judge(self, state: CellState) -> bool:
        """Decide how the episode stands and return whether it has just ended."""
        if self.episode.outcome != RUNNING:
            return False
        outcome = RUNNING
        if state.success:
            outcome = SUCCEEDED
        elif self.episode.step >= self._settings.max_episode_steps:
            outcome = TIME_LIMIT
        self.episode = Episode(self.episode.number, self.episode.step, outcome)
        return outcome != RUNNING

    def _await(
        self, what: str, arrived: Callable[[int, float], bool], stop: threading.Event
    ) -> None:
        """Let time stand still until something of this tick is here, or too long.

        After one timeout the loop does not wait for it again until it has come, so that a dead
        policy costs one timeout and the command node's hold can take over.
        """
        patience_s = 0.0 if what in self._silent else self._settings.lockstep_timeout_s
        deadline = time.monotonic() + patience_s
        while not stop.is_set():
            if arrived(self._time_ns, _CLOCK_REPEAT_S):
                self._silent.discard(what)
                return
            if time.monotonic() >= deadline:
                self.lockstep_timeouts += what not in self._silent
                self._silent.add(what)
                return
            self._output.send_clock(self._time_ns)

    def _apply(self) -> None:
        setpoint, gripper = self.inbox.take()
        if setpoint is not None:
            self._cell.set_joint_reference(*setpoint)
        if gripper is not None:
            self._cell.set_gripper(gripper)

    def _pace(self, stop: threading.Event) -> None:
        """Sleep so that simulated time follows wall time times the real-time factor."""
        _, _, factor = self._start()
        now = time.monotonic()
        if factor <= 0.0:
            self._deadline_s = now
            return
        self._deadline_s += self._settings.slice_ns * 1e-9 / factor
        if self._deadline_s > now:
            stop.wait(self._deadline_s - now)
        elif now - self._deadline_s > _MAX_LAG_S:
            self.lags += 1
            if not self._settings.simulated_time:
                self._time_ns += round((now - self._deadline_s) * 1e9)
            self._deadline_s = now
