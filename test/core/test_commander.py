# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command state machine on a fake clock: what is sent, when it holds, what latches.

A recording motion stands in for generator and gate; the last test drives the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.command_state import CommanderSettings, MeasuredJoints, Setpoint, State
from dppo_ros.core.commander import Commander
from dppo_ros.core.errors import ActionError
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.motion import Measurement
from dppo_ros.core.refusals import MEASURED_DISTANCE, WINDOW_NS, Refusals
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


def test_nothing_is_sent_before_start() -> None:
    machine, motion = commander()
    machine.push(chunk(0))
    assert run(machine, 0, PERIOD) == []
    assert motion.begun_at == []
    assert machine.counts.as_dict()["ignored_chunks"] == 1


def test_each_action_is_followed_once_from_the_measured_joints() -> None:
    machine, motion = commander()
    machine.start()
    machine.push(chunk(0))
    sent = run(machine, 0, 4 * PERIOD)
    assert len(sent) == 40
    assert [s.action.index for s in sent if s.action] == [0, 1, 2, 3]
    assert [s.stamp_ns for s in sent if s.action] == [0, PERIOD, 2 * PERIOD, 3 * PERIOD]
    assert {s.gripper for s in sent} == {-1.0}
    np.testing.assert_array_equal(motion.begun_at, [HOME])
    # One differential-IK step towards a goal 1 cm ahead: the tool gets there to first order.
    reached, _ = tool_pose(motion.targets[0])
    np.testing.assert_allclose(reached, np.add(TOOL, [0.01, 0.0, 0.0]), atol=5e-4)


def test_stream_goes_on_between_actions_and_begins_only_at_a_standstill() -> None:
    machine, _ = commander()
    machine.start()
    see(machine, 0, speed=0.5)
    assert machine.cycle(0) is None
    assert "stand still" in machine.reason
    assert len(run(machine, CYCLE, PERIOD)) == 9


def test_silence_holds_and_a_fresh_chunk_resumes() -> None:
    machine, motion = running()
    sent = run(machine, PERIOD, 10 * PERIOD)
    assert machine.state is State.HOLDING
    assert "silence" in machine.reason
    assert motion.stopping
    assert len(sent) == 90  # holding goes on streaming
    machine.push(chunk(10 * PERIOD))
    run(machine, 10 * PERIOD, 11 * PERIOD)
    assert machine.state is State.RUNNING


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_malformed_chunk_holds_at_once(bad: float) -> None:
    machine, motion = running()
    broken = chunk(PERIOD)
    broken.actions[1, 2] = bad
    with pytest.raises(ActionError):
        machine.push(broken)
    assert machine.state is State.HOLDING
    assert motion.stopping


def test_stale_measurement_holds_until_the_robot_reports_again() -> None:
    machine, _ = running()
    for start in range(PERIOD, 5 * PERIOD, PERIOD):
        machine.push(chunk(start))
        run(machine, start, start + PERIOD, measure=False)
    assert machine.state is State.HOLDING
    assert "stale" in machine.reason
    machine.push(chunk(5 * PERIOD))
    run(machine, 5 * PERIOD, 6 * PERIOD)
    assert machine.state is State.RUNNING


def test_clock_that_goes_back_holds() -> None:
    machine, _ = running()
    run(machine, 0, CYCLE)
    assert machine.state is State.HOLDING
    assert "clock went back" in machine.reason


def test_operator_stop_needs_a_start() -> None:
    machine, _ = running()
    machine.hold("operator stop")
    machine.push(chunk(2 * PERIOD))
    run(machine, PERIOD, 3 * PERIOD)
    assert machine.state is State.HOLDING
    assert machine.start()
    machine.push(chunk(3 * PERIOD))
    run(machine, 3 * PERIOD, 4 * PERIOD)
    assert machine.state is State.RUNNING


def test_one_refused_setpoint_holds_until_the_next_good_action() -> None:
    machine, motion = running()
    motion.refuse = "no_safe_stop_from_here"
    sent = run(machine, PERIOD, 2 * PERIOD)
    assert machine.state is State.HOLDING
    assert "no_safe_stop_from_here" in machine.reason
    assert len(sent) >= STOP_STEPS
    motion.refuse = ""
    machine.push(chunk(2 * PERIOD))
    run(machine, 2 * PERIOD, 3 * PERIOD)
    assert machine.state is State.RUNNING


def test_refusals_that_pile_up_are_a_fault() -> None:
    machine, motion = running()
    for tick in range(1, 5):
        assert machine.state is not State.FAULT
        motion.refuse = "joint_jerk"
        machine.push(chunk(tick * PERIOD))
        run(machine, tick * PERIOD, (tick + 1) * PERIOD)
        motion.refuse = ""
    assert machine.state is State.FAULT


def test_refusals_far_apart_are_none() -> None:
    refusals = Refusals()
    assert not any(refusals.is_grave("joint_jerk", i * WINDOW_NS // 2) for i in range(20))
    assert refusals.is_grave(MEASURED_DISTANCE, 100 * WINDOW_NS)


def test_arm_that_does_not_follow_is_a_fault_that_recovers_on_request_only() -> None:
    machine, motion = running()
    motion.refuse = MEASURED_DISTANCE
    sent = run(machine, PERIOD, 2 * PERIOD)
    assert machine.state is State.FAULT
    assert MEASURED_DISTANCE in machine.reason
    assert len(sent) == 1 + STOP_STEPS
    assert not machine.start()
    assert not machine.clear()
    motion.refuse = ""
    assert machine.recover()
    assert machine.state is State.RECOVERING
    machine.recovered("no answer from the robot")
    assert machine.state is State.FAULT
    assert machine.recover()
    machine.recovered()
    assert machine.state is State.IDLE
    assert machine.start()


def test_emergency_stop_ends_in_silence_and_only_clear_leaves_it() -> None:
    machine, _ = running()
    machine.estop()
    assert not machine.clear()  # still moving
    sent = run(machine, PERIOD, 2 * PERIOD)
    assert len(sent) == STOP_STEPS
    for attempt in (machine.start, machine.home, machine.recover):
        assert not attempt()
    machine.idle()
    machine.fail("something else")
    assert machine.state is State.ESTOP
    assert machine.clear()
    assert machine.state is State.IDLE


def test_homing_ends_in_a_hold() -> None:
    machine, motion = commander()
    assert machine.home()
    see(machine, 0)
    motion.steps_to_rest = 0
    run(machine, 0, PERIOD)
    assert machine.state is State.HOLDING
    assert machine.reason == "home reached"
    np.testing.assert_array_equal(motion.targets[0], HOME)


def test_jumping_arm_is_a_fault_unless_it_is_simulated() -> None:
    machine, _ = running()
    see(machine, PERIOD, HOME + 0.4)
    assert machine.state is State.FAULT
    machine, motion = running(may_be_moved=True)
    see(machine, PERIOD, HOME + 0.4)
    assert machine.state is State.HOLDING
    see(machine, PERIOD + CYCLE, HOME + 0.4)
    machine.cycle(PERIOD + CYCLE)
    np.testing.assert_array_equal(motion.begun_at[-1], HOME + 0.4)


def test_lockstep_withholds_a_tick_until_its_action_is_here() -> None:
    machine, _ = commander(lockstep=True)
    machine.start()
    see(machine, 0)
    assert machine.cycle(0) is None
    machine.push(chunk(0, steps=1))
    setpoint = machine.cycle(0)
    assert setpoint is not None
    assert setpoint.action is not None
    assert machine.cycle(0) is None  # this instant is served
    assert len(run(machine, CYCLE, PERIOD)) == 9
    assert run(machine, PERIOD, PERIOD + 26 * CYCLE) == []
    assert machine.state is State.RUNNING
    assert len(run(machine, PERIOD + 26 * CYCLE, PERIOD + 30 * CYCLE)) == 4
    assert machine.state is State.HOLDING


def test_gripper_does_not_chatter() -> None:
    machine, _ = commander(gripper_toggle_ns=2 * PERIOD)
    latch = machine.gripper
    assert latch.update(-1.0, 0) == -1.0
    assert latch.update(1.0, 10) == 1.0
    assert latch.update(-1.0, PERIOD) == 1.0  # too soon
    assert latch.suppressed == 1
    assert latch.update(-0.01, 3 * PERIOD) == 1.0  # inside the dead band
    assert latch.update(-1.0, 3 * PERIOD) == -1.0


class CommandMachine(RuleBasedStateMachine):
    """Anything may happen in any order; the promises hold all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.machine, self.motion = commander()
        self.now_ns = 0
        self.before = State.IDLE
        self.cleared = False

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

    @rule()
    def emergency(self) -> None:
        self.machine.estop()
        assert self.machine.state is State.ESTOP

    @rule()
    def clear(self) -> None:
        before = self.machine.state
        if self.machine.clear():
            assert before is State.ESTOP
            assert self.machine.state is State.IDLE

    @rule(refusal=st.sampled_from(["", "", "joint_jerk"]))
    def gate_mood(self, refusal: str) -> None:
        self.motion.refuse = refusal

    @rule(back_ms=st.integers(1, 500))
    def clock_jumps_back(self, back_ms: int) -> None:
        self.now_ns = max(0, self.now_ns - back_ms * MS)

    @invariant()
    def stops_are_stops(self) -> None:
        state = self.machine.state
        if state in (State.FAULT, State.ESTOP) and self.machine.moving:
            assert self.motion.stopping


TestAnyOrder = CommandMachine.TestCase
TestAnyOrder.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
