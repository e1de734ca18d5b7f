# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Action chunks -> judged joint setpoints: the state machine inside the command node.

States: ``idle`` (nothing is sent), ``homing``, ``running`` (executes chunks), ``holding`` (standing
setpoints go on), ``fault`` and ``estop`` (nothing is sent once the arm stands), ``recovering``.
Whatever ends a motion ends it with a jerk-limited stop, all that is ever sent in idle, fault and
estop. An emergency stop is left by ``clear`` alone, a fault by a ``recover`` that succeeds: neither
an emergency stop nor a request for ``idle`` in between ends it. A setpoint that the
gate refused is held like silence; refusals that pile up are a fault (``core.refusals``). Setpoints
that are missing for too long, because the process was kept waiting, are no stream any more: a new
one begins where the arm stands then (``core.stream_clock``).

Every setpoint comes out of ``Motion``, whose gate has judged it; there is no other way out. How
actions become joint targets is in ``core.action_follower``. The caller brings the clock (integer
nanoseconds). No rclpy.
"""

from __future__ import annotations

import numpy as np

from dppo_ros.core.action_follower import ActionFollower, Outcome
from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.command_state import (
    SILENT,
    CommanderSettings,
    MeasuredJoints,
    Setpoint,
    State,
)
from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ActionError
from dppo_ros.core.gripper import GripperLatch
from dppo_ros.core.measured import has_jumped, is_out_of_order, is_stale
from dppo_ros.core.motion import Measurement, Motion
from dppo_ros.core.refusals import Refusals
from dppo_ros.core.safety import SafetyGate
from dppo_ros.core.stream_clock import StreamClock


class Commander:
    """The state machine; one thread at a time."""

    def __init__(
        self,
        schedule: ChunkSchedule,
        gate: SafetyGate,
        motion: Motion,
        settings: CommanderSettings,
    ) -> None:
        """Start idle.

        Args:
            schedule: Decides which action is due.
            gate: Judges tool goals.
            motion: Makes and judges joint setpoints.
            settings: Timing.
        """
        self._motion, self._settings = motion, settings
        self._follower = ActionFollower(schedule, gate, motion, settings)
        self._measured: MeasuredJoints | None = None
        self._begun = self._homing = self._resumes = False
        self._fault = ""
        self._clock = StreamClock(settings.cycle_ns, settings.lockstep)
        self._refusals = Refusals()
        self.state, self.reason, self.changes = State.IDLE, "not started yet", 0
        self.counts = EventCounts(
            "setpoints", "actions", "stops", "holds", "faults", "estops", "refused_chunks",
            "ignored_chunks", "rejected_actions", "withheld", "stalls",
        )  # fmt: skip

    @property
    def schedule(self) -> ChunkSchedule:
        """Return the chunk schedule."""
        return self._follower.schedule

    @property
    def gate(self) -> SafetyGate:
        """Return the gate for tool goals, for its counters."""
        return self._follower.gate

    @property
    def gripper(self) -> GripperLatch:
        """Return the latch of the gripper."""
        return self._follower.gripper

    @property
    def _executes(self) -> bool:
        """Return whether a good action would be executed."""
        return self.state is State.RUNNING or (self.state is State.HOLDING and self._resumes)

    @property
    def moving(self) -> bool:
        """Return whether the setpoints have not come to rest."""
        return self._begun and not self._motion.at_rest

    def measure(self, measured: MeasuredJoints) -> None:
        """Take the newest measured joints; what is not finite is ignored."""
        if not (np.isfinite(measured.position).all() and np.isfinite(measured.velocity).all()):
            self.counts.add("measured_not_finite")
            return
        before = self._measured
        if before is not None and is_out_of_order(before, measured):
            self.counts.add("measured_out_of_order")
            return
        self._measured = measured
        if before is not None and self._begun and has_jumped(before, measured):
            self._on_jump()

    def push(self, chunk: ActionChunk) -> None:
        """Take a chunk; a malformed one makes the robot hold until a good one comes.

        Raises:
            ActionError: The chunk is malformed, for the caller's log; the hold is already on.
        """
        if not self._executes:
            self.counts.add("ignored_chunks")
            return
        try:
            self.schedule.push(chunk)
        except ActionError:
            self.refuse_chunk("refused a malformed chunk")
            raise

    def refuse_chunk(self, reason: str) -> None:
        """Hold because a chunk was not acceptable; the next good one ends that."""
        self.counts.add("refused_chunks")
        self.hold(reason, resumes=True)
        if self.state is State.HOLDING and self._resumes:
            self.reason = reason

    def start(self) -> bool:
        """Execute chunks from now on; return whether that is possible now."""
        if self.state not in (State.IDLE, State.HOLDING):
            return False
        self._follower.forget()
        self._enter(State.RUNNING, "no chunk yet")
        return True

    def home(self) -> bool:
        """Go to the home posture; return whether that is possible now."""
        if self.state not in (State.IDLE, State.HOLDING):
            return False
        self._follower.forget()
        self._enter(State.HOMING, "")
        self._homing = False
        return True

    def hold(self, reason: str, resumes: bool = False) -> None:
        """Stop and stand still.

        Args:
            reason: Why.
            resumes: The next good action ends it; otherwise ``start`` does.
        """
        if self.state in (State.RUNNING, State.HOMING) or (
            self.state is State.HOLDING and not resumes
        ):
            resumes = resumes and self.state is State.RUNNING
            self.counts.add("holds")
            self._follower.forget()
            self._motion.stop()
            self._resumes = resumes
            self._enter(State.HOLDING, reason)

    def idle(self, reason: str = "by request") -> None:
        """Stop, then send nothing; a recovery that is under way counts as failed."""
        if self.state is State.RECOVERING:
            self._enter(State.FAULT, f"recovery was interrupted: {reason}")
        elif self.state not in (State.ESTOP, State.FAULT):
            self._halt(State.IDLE, reason)

    def estop(self, reason: str = "emergency stop") -> None:
        """Stop, then send nothing, until ``clear``."""
        if self.state is not State.ESTOP:
            self.counts.add("estops")
            faulty = self.state in (State.FAULT, State.RECOVERING)
            self._fault = self.reason if faulty else ""
            self._halt(State.ESTOP, reason)

    def fail(self, reason: str) -> None:
        """Stop, then send nothing, until ``recover``; an emergency stop comes first."""
        if self.state is State.ESTOP:
            self._fault = self._fault or reason
        elif self.state is not State.FAULT:
            self.counts.add("faults")
            self._halt(State.FAULT, reason)

    def clear(self) -> bool:
        """End an emergency stop; the arm stays where it is until it is started again.

        A fault of before, or from meanwhile, is still one.
        """
        if self.state is not State.ESTOP or self.moving:
            return False
        if self._fault:
            self._enter(State.FAULT, self._fault)
        else:
            self._enter(State.IDLE, "emergency stop cleared")
        return True

    def recover(self) -> bool:
        """Begin to recover from a fault; ``recovered`` ends it."""
        if self.state is not State.FAULT or self.moving:
            return False
        self._enter(State.RECOVERING, self.reason)
        return True

    def recovered(self, problem: str = "") -> None:
        """Learn how the recovery ended; a problem leads back to the fault."""
        if self.state is State.RECOVERING:
            if problem:
                self._enter(State.FAULT, problem)
            else:
                self._motion.forget()  # a controller that was switched on holds what it measured
                self._enter(State.IDLE, "recovered")

    def cycle(self, now_ns: int) -> Setpoint | None:
        """Return the setpoint to send now, None when there is none.

        Args:
            now_ns: Time of the cycle; a second call for a time that was served gives None.
        """
        if self._clock.turn(now_ns):
            self._on_clock_back()
        if self._clock.is_served(now_ns):
            return None
        if self._begun and self._clock.has_broken(now_ns):
            self._on_stall(now_ns)
        if self.state in SILENT and not self.moving:
            self._begun = False
            return None
        if not self._begin(now_ns):
            return None
        if self.state in (State.RUNNING, State.HOLDING):
            self._look_for_action(now_ns)
            if self._must_wait(now_ns):
                self.counts.add("withheld")
                return None
        return self._step(now_ns)

    def _begin(self, now_ns: int) -> bool:
        """Begin a stream of setpoints where the arm stands; return whether it has begun."""
        if self._begun:
            return True
        measured = self._measured
        if measured is None or is_stale(measured, now_ns, self._settings.max_measured_age_ns):
            return self._wait("waiting for measured joints")
        if not self._clock.may_begin_on(measured.stamp_ns):
            return self._wait("waiting for joints measured after the pause")
        if np.abs(measured.velocity).max() > self._settings.rest_velocity_rad_s:
            return self._wait("waiting for the arm to stand still")
        refusal = self._motion.begin(measured.position)
        if refusal:
            self.fail(f"the arm stands where no motion may begin: {refusal}")
            return False
        self._begun = True
        self._clock.begin()
        if self.state is State.HOLDING:
            self._motion.stop()
        else:
            self.reason = "no chunk yet" if self.state is State.RUNNING else ""
        return True

    def _wait(self, reason: str) -> bool:
        """Tell why a stream cannot begin yet; a hold keeps the reason it has."""
        if self.state is not State.HOLDING:
            self.reason = reason
        return False

    def _look_for_action(self, now_ns: int) -> None:
        """Let the setpoints follow the action whose time has come."""
        outcome = self._follower.look(now_ns, self._measured, self._executes)
        if outcome is Outcome.BEGUN:
            self.counts.add("actions")
            if self.state is not State.RUNNING or self.reason:
                self._enter(State.RUNNING, "")
        elif outcome is Outcome.REJECTED:
            self._reject(self._follower.rejection)
        elif outcome is Outcome.CLOCK_BACK:
            self._on_clock_back()
        elif outcome is Outcome.BLIND:
            self.hold("measured joints are missing or stale", resumes=True)
        elif outcome is Outcome.SILENCE and self.state is State.RUNNING:
            self.hold("silence: no fresh chunk", resumes=True)

    def _must_wait(self, now_ns: int) -> bool:
        """Return whether the setpoint of this tick waits for its action (lockstep only)."""
        lockstep = self._settings.lockstep and self.state is State.RUNNING
        return lockstep and self._follower.must_wait(now_ns)

    def _step(self, now_ns: int) -> Setpoint | None:
        if self.state is State.HOMING and not self._homing:
            self._homing = self._motion.go_to(np.array(self._settings.home_rad))
            if not self._homing:
                self.fail("there is no way to the home posture from here")
        step_s = self._step_s(now_ns)
        setpoint, refusal = self._motion.step(step_s, self._measurement(now_ns))
        if refusal:
            end = self.fail if self._refusals.is_grave(refusal, now_ns) else self._reject
            end(f"gate refused a setpoint: {refusal}")
        elif self.state is State.HOMING and self._motion.arrived:
            self._motion.stop()
            self._resumes = False
            self._enter(State.HOLDING, "home reached")
        self.counts.add("setpoints")
        begun = self._follower.begun
        return Setpoint(
            stamp_ns=now_ns,
            position=setpoint.position,
            velocity=setpoint.velocity,
            gripper=self.gripper.value,
            action=begun.action if begun is not None else None,
            interventions=begun.interventions if begun is not None else (),
            goal=begun.goal if begun is not None else None,
        )

    def _step_s(self, now_ns: int) -> float:
        """Return how much time the next setpoint stands for."""
        step_ns, cycle_ns = self._clock.step_ns(now_ns), self._settings.cycle_ns
        missed_ns = step_ns - cycle_ns
        if 2 * missed_ns > cycle_ns and self._motion.coast(missed_ns * 1e-9):
            step_ns = cycle_ns
        return step_ns * 1e-9

    def _reject(self, reason: str) -> None:
        self.counts.add("rejected_actions")
        self.hold(reason, resumes=True)

    def _halt(self, state: State, reason: str) -> None:
        """Stop for good: nothing is sent once the arm stands."""
        if self.moving:
            self.counts.add("stops")
        if self._begun:
            self._motion.stop()
        self._follower.forget()
        self._resumes = False
        self._enter(state, reason)

    def _on_clock_back(self) -> None:
        """Trust nothing that was stamped before the clock went back."""
        self._measured = None
        self._clock.forget()
        self._follower.forget()
        self.hold("clock went back", resumes=True)

    def _on_stall(self, now_ns: int) -> None:
        """The arm ran to the end of the old setpoints by itself: measure where that was."""
        self.counts.add("stalls")
        self.hold("setpoints were missing: kept waiting, or clock set ahead", resumes=True)
        self._clock.end(now_ns)
        self._begun = False

    def _on_jump(self) -> None:
        """The arm is suddenly elsewhere."""
        if not self._settings.may_be_moved:
            self.fail("the measured joints jumped")
            return
        self._follower.forget()
        self._motion.forget()
        self._begun = False
        if self.state in (State.RUNNING, State.HOMING, State.HOLDING):
            self._resumes = self.state is State.RUNNING or self._resumes
            self._enter(State.HOLDING, "the arm was moved")

    def _enter(self, state: State, reason: str) -> None:
        self.changes += (state, reason) != (self.state, self.reason)
        self.state, self.reason = state, reason

    def _measurement(self, now_ns: int) -> Measurement | None:
        measured = self._measured
        if measured is None:
            return None
        # A measurement may be stamped a hair after the cycle that uses it.
        age_s = max(now_ns - measured.stamp_ns, 0) * 1e-9
        return Measurement(measured.position, age_s)
