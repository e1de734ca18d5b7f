# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command state machine on a fake clock: what is sent, when it holds, what latches."""

from __future__ import annotations

import numpy as np
import pytest
from commander_stage import (
    CYCLE,
    HOME,
    MS,
    PERIOD,
    STOP_STEPS,
    TOOL,
    chunk,
    commander,
    run,
    running,
    see,
)

from dppo_ros.core.command_state import State
from dppo_ros.core.errors import ActionError
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.refusals import MEASURED_DISTANCE, WINDOW_NS, Refusals


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


def test_process_that_was_kept_waiting_begins_a_new_stream_where_the_arm_stands() -> None:
    machine, motion = running()
    woken = PERIOD + 50 * MS  # the last setpoint was for 90 ms: 60 ms are missing
    there = HOME + 0.03
    assert machine.cycle(woken) is None  # the arm stood at the last measurement, before the pause
    see(machine, woken, there, speed=0.2)
    assert machine.cycle(woken) is None
    assert machine.state is State.HOLDING
    assert "kept waiting" in machine.reason
    assert machine.counts["stalls"] == 1
    see(machine, woken + CYCLE, there)
    assert machine.cycle(woken + CYCLE) is not None
    np.testing.assert_array_equal(motion.begun_at[-1], there)
    machine.push(chunk(2 * PERIOD))
    run(machine, 2 * PERIOD, 2 * PERIOD + 5 * CYCLE)
    assert machine.state is State.RUNNING


def test_a_hold_that_ends_and_comes_back_is_a_change() -> None:
    machine, _ = running()
    machine.hold("silence", resumes=True)
    before = machine.changes
    machine.hold("silence", resumes=True)
    assert machine.changes == before
    machine.push(chunk(PERIOD))
    run(machine, PERIOD, PERIOD + 2 * CYCLE)
    machine.hold("silence", resumes=True)
    assert (machine.state, machine.reason) == (State.HOLDING, "silence")
    assert machine.changes == before + 2


@pytest.mark.parametrize(("coasts", "step_s"), [(False, 0.05), (True, 0.01)])
def test_a_setpoint_that_is_late_by_less_is_no_new_stream(coasts: bool, step_s: float) -> None:
    machine, motion = running()
    motion.coasts = coasts  # whether a controller runs out its stop meanwhile
    see(machine, PERIOD + 40 * MS)
    assert machine.cycle(PERIOD + 40 * MS) is not None
    assert machine.state is State.RUNNING
    assert (len(motion.begun_at), machine.counts["stalls"]) == (1, 0)
    assert motion.coasted_s == [pytest.approx(0.04)]
    assert motion.steps_s[-1] == pytest.approx(step_s)


@pytest.mark.parametrize("end", ["estop", "idle"])
def test_a_stop_that_is_interrupted_ends_in_silence(end: str) -> None:
    machine, _ = running()
    getattr(machine, end)()
    assert machine.moving
    see(machine, 2 * PERIOD)
    assert machine.cycle(2 * PERIOD) is None
    assert not machine.moving
    assert machine.state is {"estop": State.ESTOP, "idle": State.IDLE}[end]


def test_clock_that_goes_back_holds() -> None:
    machine, _ = running()
    run(machine, 0, CYCLE)
    assert machine.state is State.HOLDING
    assert "clock went back" in machine.reason


def test_measurement_from_before_the_clock_went_back_is_not_believed() -> None:
    machine, motion = running()
    machine.cycle(0)
    assert machine.state is State.HOLDING
    begun = len(motion.begun_at)
    see(machine, 50 * PERIOD)  # was still under way
    run(machine, CYCLE, PERIOD, measure=False)
    assert len(motion.begun_at) == begun
    machine.push(chunk(PERIOD))
    run(machine, PERIOD, 2 * PERIOD)  # the robot reports with the new time
    assert machine.state is State.RUNNING


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
    assert not motion.forgotten
    machine.recovered()
    assert machine.state is State.IDLE
    assert motion.forgotten == 1  # the next stream begins where the arm is measured
    assert machine.start()


def test_nothing_but_a_recovery_that_succeeds_ends_a_fault() -> None:
    machine, _ = commander()
    machine.fail("reflex")
    machine.estop()
    assert machine.clear()
    assert (machine.state, machine.reason) == (State.FAULT, "reflex")
    assert machine.recover()
    machine.idle()
    assert machine.state is State.FAULT
    assert "recovery was interrupted" in machine.reason
    machine.recovered()  # of the recovery that was given up
    assert machine.state is State.FAULT
    assert machine.recover()
    machine.estop()
    machine.recovered()
    assert machine.clear()
    assert machine.state is State.FAULT
    assert machine.recover()
    machine.recovered()
    machine.estop()
    assert machine.clear()
    assert machine.state is State.IDLE


def test_emergency_stop_ends_in_silence_and_only_clear_leaves_it() -> None:
    machine, _ = running()
    machine.estop()
    assert not machine.clear()  # still moving
    sent = run(machine, PERIOD, 2 * PERIOD)
    assert len(sent) == STOP_STEPS
    for attempt in (machine.start, machine.home, machine.recover):
        assert not attempt()
    machine.idle()
    assert machine.state is State.ESTOP
    assert machine.clear()
    assert machine.state is State.IDLE
    machine.estop()
    machine.fail("something else")
    machine.fail("and more")
    assert machine.state is State.ESTOP
    assert machine.clear()
    assert (machine.state, machine.reason) == (State.FAULT, "something else")


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
