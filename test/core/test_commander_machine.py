# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command state machine in any order of events: stops are stops, latches latch."""

from __future__ import annotations

import numpy as np
from commander_stage import (
    CYCLE,
    MS,
    chunk,
    commander,
    see,
)
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dppo_ros.core.command_state import State
from dppo_ros.core.errors import ActionError


class CommandMachine(RuleBasedStateMachine):
    """Anything may happen in any order; the promises hold all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.machine, self.motion = commander()
        self.now_ns = 0
        self.before = State.IDLE
        self.faulty = False

    @rule(steps=st.integers(1, 40), measured=st.booleans())
    def time_passes(self, steps: int, measured: bool) -> None:
        for _ in range(steps):
            self.now_ns += CYCLE
            if measured:
                see(self.machine, self.now_ns)
            silent = self.machine.state in (State.IDLE, State.FAULT, State.ESTOP)
            moving = self.machine.moving
            setpoint = self.machine.cycle(self.now_ns)
            if silent and setpoint is not None:
                assert moving, "a setpoint although the arm stands"
                assert self.motion.stopping, "something else than the end of a stop"

    @rule(age_ms=st.integers(-300, 900), value=st.sampled_from([0.01, 5.0, np.nan]))
    def chunk_arrives(self, age_ms: int, value: float) -> None:
        made = chunk(self.now_ns - age_ms * MS)
        made.actions[0, 0] += value
        try:
            self.machine.push(made)
        except ActionError:
            assert np.isnan(value)

    @rule(event=st.sampled_from(["start", "home", "idle", "recover", "hold", "fail", "recovered"]))
    def operator(self, event: str) -> None:
        arguments = ("by the test",) if event in ("hold", "fail") else ()
        before = self.machine.state
        getattr(self.machine, event)(*arguments)
        if before is State.ESTOP:
            assert self.machine.state is State.ESTOP
        if before is State.FAULT:
            assert self.machine.state in (State.FAULT, State.RECOVERING)
        if event == "recovered" and before is State.RECOVERING:
            self.faulty = False
        self.faulty = self.faulty or event == "fail"

    @rule()
    def emergency(self) -> None:
        self.machine.estop()
        assert self.machine.state is State.ESTOP

    @rule()
    def clear(self) -> None:
        before = self.machine.state
        if self.machine.clear():
            assert before is State.ESTOP
            assert self.machine.state is (State.FAULT if self.faulty else State.IDLE)

    @rule(refusal=st.sampled_from(["", "", "joint_jerk"]))
    def gate_mood(self, refusal: str) -> None:
        self.motion.refuse = refusal

    @rule(back_ms=st.integers(1, 500))
    def clock_jumps_back(self, back_ms: int) -> None:
        self.now_ns = max(0, self.now_ns - back_ms * MS)

    @invariant()
    def only_a_recovery_ends_a_fault(self) -> None:
        self.faulty = self.faulty or self.machine.state is State.FAULT
        if self.faulty:
            assert self.machine.state in (State.FAULT, State.RECOVERING, State.ESTOP)

    @invariant()
    def stops_are_stops(self) -> None:
        state = self.machine.state
        if state in (State.FAULT, State.ESTOP) and self.machine.moving:
            assert self.motion.stopping


TestAnyOrder = CommandMachine.TestCase
TestAnyOrder.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
