# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Action chunks -> safe tool goals: the state machine inside the command node.

Every goal that leaves this class, hold goals included, is a verdict of the ``SafetyGate``; there
is no other way out. The machine holds at the measured pose when actions run out (silence), when
a chunk is malformed or not finite, when the measured pose is stale or missing, when the clock
jumps back and when an operator stops it. A stop latches until it is cleared.

The caller brings the clock (integer nanoseconds) and calls ``tick`` often. No rclpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from dppo_ros.core.chunk import ActionChunk, ChunkSchedule, HoldReason, ScheduledAction
from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ActionError, DppoError
from dppo_ros.core.observation import split_action
from dppo_ros.core.rotations import FloatArray
from dppo_ros.core.safety import SafetyGate, Verdict


class Mode(str, Enum):
    """What the command side is doing."""

    DISABLED = "disabled"
    WAITING = "waiting"
    RUNNING = "running"
    HOLDING = "holding"
    STOPPED = "stopped"


@dataclass(frozen=True)
class CommanderSettings:
    """Timing of the command side.

    Attributes:
        control_period_ns: Time between two actions (ns).
        silence_timeout_ns: No action for this long after the last one ended: hold (ns).
        max_measured_age_ns: Oldest measured pose on which a goal may be judged (ns).
        measured_wait_ns: How long to wait for the measured pose of the tick itself (ns).
    """

    control_period_ns: int
    silence_timeout_ns: int
    max_measured_age_ns: int
    measured_wait_ns: int


@dataclass(frozen=True, eq=False)
class Measured:
    """The tool pose that the robot reports.

    Attributes:
        stamp_ns: Time of the measurement (ns).
        position: (3,) m, base frame.
        base_from_tool: (3, 3) rotation.
    """

    stamp_ns: int
    position: FloatArray
    base_from_tool: FloatArray


@dataclass(frozen=True, eq=False)
class Goal:
    """A goal that passed the gate.

    Attributes:
        stamp_ns: The control tick it is for (ns).
        position: (3,) m, base frame.
        base_from_tool: (3, 3) rotation.
        gripper: Latch value, None while no action ever set it.
        action: The scheduled action behind it, None for a hold.
        interventions: What the gate changed.
    """

    stamp_ns: int
    position: FloatArray
    base_from_tool: FloatArray
    gripper: float | None
    action: ScheduledAction | None
    interventions: tuple[str, ...]


class Commander:
    """Turns chunks into gated goals, one for each control period."""

    def __init__(
        self, schedule: ChunkSchedule, gate: SafetyGate, settings: CommanderSettings
    ) -> None:
        """Start disabled.

        Args:
            schedule: Decides which action is due.
            gate: Judges every goal.
            settings: Timing.
        """
        self._schedule = schedule
        self._gate = gate
        self._settings = settings
        self._measured: Measured | None = None
        self._pending: ScheduledAction | None = None
        self._last_action: ScheduledAction | None = None
        self._hold_pose: Measured | None = None
        self._hold_ns: int | None = None
        self._gripper: float | None = None
        self.mode = Mode.DISABLED
        self.reason = "not enabled yet"
        self.counts = EventCounts("goals", "holds", "refused_chunks", "rejected_actions")

    @property
    def schedule(self) -> ChunkSchedule:
        """Return the chunk schedule, for its counters."""
        return self._schedule

    @property
    def gate(self) -> SafetyGate:
        """Return the gate, for its counters."""
        return self._gate

    def measure(self, measured: Measured) -> None:
        """Take the newest measured tool pose; one that is not finite is ignored."""
        if np.isfinite(measured.position).all() and np.isfinite(measured.base_from_tool).all():
            self._measured = measured
        else:
            self.counts.add("measured_pose_not_finite")

    def push(self, chunk: ActionChunk) -> None:
        """Take a chunk; a malformed one makes the robot hold until a good one comes.

        Raises:
            ActionError: The chunk is malformed, for the caller's log; the hold is already on.
        """
        if self.mode in (Mode.DISABLED, Mode.STOPPED):
            self.counts.add("ignored_chunks")
            return
        try:
            self._schedule.push(chunk)
        except ActionError:
            self.refuse_chunk("refused a malformed chunk")
            raise

    def refuse_chunk(self, reason: str) -> None:
        """Hold because a chunk was not acceptable."""
        self.counts.add("refused_chunks")
        self._start_hold(Mode.HOLDING, reason)

    def enable(self) -> None:
        """Accept chunks from now on, unless stopped."""
        if self.mode is Mode.DISABLED:
            self._forget()
            self.mode, self.reason = Mode.WAITING, "no chunk yet"

    def disable(self) -> None:
        """Send nothing from now on, not even hold goals."""
        if self.mode is not Mode.STOPPED:
            self._forget()
            self.mode, self.reason = Mode.DISABLED, "disabled by request"

    def stop(self, reason: str = "operator stop") -> None:
        """Hold at the measured pose and ignore every chunk until ``clear``."""
        self._start_hold(Mode.STOPPED, reason)

    def clear(self) -> None:
        """End a stop; the robot moves again with the next fresh chunk."""
        if self.mode is Mode.STOPPED:
            self._forget()
            self.mode, self.reason = Mode.WAITING, "stop cleared, no chunk yet"

    def tick(self, now_ns: int) -> Goal | None:
        """Return the goal to send now, None when there is nothing new to send."""
        if self.mode is Mode.DISABLED:
            return None
        if self.mode is not Mode.STOPPED:
            action = self._due(now_ns)
            if action is not None:
                return self._judge(action, now_ns)
            if self._pending is not None:
                return None
        return self._hold_goal(now_ns)

    def _due(self, now_ns: int) -> ScheduledAction | None:
        """Return the action to send now, once the measured pose of its tick is here."""
        due = self._schedule.due(now_ns)
        if isinstance(due, ScheduledAction):
            self._pending = due
        elif due.reason is HoldReason.CLOCK_BACKWARDS:
            self._measured = None
            self._forget()
            self.mode, self.reason = Mode.HOLDING, "clock went back"
            return None
        elif self._pending is None:
            self._check_silence(now_ns)
        pending = self._pending
        if pending is None:
            return None
        fresh = self._measured is not None and self._measured.stamp_ns >= pending.valid_from_ns
        if not fresh and now_ns < pending.valid_from_ns + self._settings.measured_wait_ns:
            return None
        self._pending = None
        return pending

    def _check_silence(self, now_ns: int) -> None:
        if self.mode is not Mode.RUNNING or self._last_action is None:
            return
        if now_ns > self._last_action.valid_until_ns + self._settings.silence_timeout_ns:
            self._start_hold(Mode.HOLDING, "silence: no fresh chunk")

    def _judge(self, action: ScheduledAction, now_ns: int) -> Goal | None:
        measured = self._measured
        if measured is None or now_ns - measured.stamp_ns > self._settings.max_measured_age_ns:
            self._reject("measured tool pose is missing or stale")
            return self._hold_goal(now_ns)
        try:
            position, matrix, gripper = split_action(action.action)
            verdict = self._gate.check(
                position,
                matrix,
                float(gripper),
                measured.position,
                measured.base_from_tool,
                observation_stamp_ns=action.stamp_ns,
                now_ns=now_ns,
            )
        except DppoError as error:
            self._reject(str(error))
            return self._hold_goal(now_ns)
        if not verdict.accepted:
            self._reject(f"gate rejected: {', '.join(verdict.interventions)}")
            return self._hold_goal(now_ns)
        self._last_action, self._hold_pose, self._hold_ns = action, None, None
        self._gripper = verdict.gripper
        self.mode, self.reason = Mode.RUNNING, ""
        self.counts.add("goals")
        return self._goal(action.valid_from_ns, verdict, action)

    def _reject(self, reason: str) -> None:
        self.counts.add("rejected_actions")
        self._start_hold(Mode.HOLDING, reason)

    def _start_hold(self, mode: Mode, reason: str) -> None:
        """Drop what was planned and hold where the robot is measured at the next tick."""
        if mode is not self.mode or self._pending is not None or self._schedule.waiting:
            self._forget()
        self.mode, self.reason = mode, reason

    def _forget(self) -> None:
        self._schedule.reset()
        self._gate.reset()
        self._pending = None
        self._last_action = None
        self._hold_pose = None
        self._hold_ns = None

    def _hold_goal(self, now_ns: int) -> Goal | None:
        """Return the hold goal of this control period, through the gate like any other goal."""
        if self.mode not in (Mode.HOLDING, Mode.STOPPED):
            return None
        period = self._settings.control_period_ns
        if self._hold_ns is not None and now_ns // period == self._hold_ns // period:
            return None
        measured = self._measured
        if measured is None or now_ns - measured.stamp_ns > self._settings.max_measured_age_ns:
            return None
        if self._hold_pose is None:
            self._hold_pose = measured
        verdict = self._gate.check(
            self._hold_pose.position,
            self._hold_pose.base_from_tool,
            0.0 if self._gripper is None else self._gripper,
            measured.position,
            measured.base_from_tool,
            observation_stamp_ns=measured.stamp_ns,
            now_ns=now_ns,
        )
        if not verdict.accepted:
            self.counts.add("rejected_holds")
            return None
        self._hold_ns = now_ns
        self.counts.add("holds")
        return self._goal(now_ns, verdict, None)

    def _goal(self, stamp_ns: int, verdict: Verdict, action: ScheduledAction | None) -> Goal:
        return Goal(
            stamp_ns=stamp_ns,
            position=verdict.position,
            base_from_tool=verdict.base_from_tool,
            gripper=self._gripper,
            action=action,
            interventions=verdict.interventions,
        )
