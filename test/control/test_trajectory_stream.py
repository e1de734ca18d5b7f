# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a joint_trajectory_controller asks of the arm when setpoints come late, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from trajectory_controller import (
    CYCLE_NS,
    HOME,
    MS,
    Arm,
    MeasuredJoints,
    every_cycle,
)

from dppo_ros.core.command_state import State
from dppo_ros.core.stream_clock import LONGEST_PAUSE_NS

END_NS = 1600 * MS
MOST = 1.1
"""Share of the maker's accelerations; cubic splines between exact setpoints reach 0.94."""


def drive(cycles: list[int], arm: Arm | None = None) -> Arm:
    """Let three chunks lead the arm sideways, with setpoints at these times."""
    arm = arm or Arm()
    arm.run(10 * MS, [])
    assert arm.commander.start()
    for start_ns in range(50 * MS, 1250 * MS, 400 * MS):
        arm.run(start_ns, cycles)
        arm.push(0.03)
    arm.run(END_NS, cycles)
    moved = np.ptp(np.array(arm.positions), axis=0).max()
    assert moved > 0.05, "the test has to move the arm"
    return arm


def test_exact_setpoints() -> None:
    arm = drive(every_cycle(END_NS))
    assert arm.peak < 1.0
    assert arm.commander.counts["stalls"] == arm.motion.gate.counts["refused"] == 0


@pytest.mark.parametrize("late_ns", [200, 20_000, 1 * MS, 2 * MS])
def test_jitter(late_ns: int) -> None:
    rng = np.random.default_rng(1)
    cycles = [time + int(rng.integers(0, late_ns)) for time in every_cycle(END_NS)]
    assert drive(cycles).peak < MOST


@pytest.mark.parametrize("begin_ms", [300, 305, 480, 705])
@pytest.mark.parametrize("length_ms", [10, 20, 35, 50])
def test_short_pauses_go_on_from_where_the_controller_has_braked_to(
    begin_ms: int, length_ms: int
) -> None:
    arm = drive(every_cycle(END_NS, [(begin_ms * MS, (begin_ms + length_ms) * MS - CYCLE_NS)]))
    assert arm.commander.counts["stalls"] == 0
    assert arm.commander.state is State.RUNNING
    assert arm.peak < MOST


@pytest.mark.parametrize("length_ms", [60, 90, 150, 300])
def test_a_broken_stream_begins_again_where_the_stop_has_ended(length_ms: int) -> None:
    arm = drive(every_cycle(END_NS, [(300 * MS, (300 + length_ms) * MS)]))
    assert length_ms * MS > LONGEST_PAUSE_NS
    assert arm.commander.counts["stalls"] == 1
    assert arm.peak < MOST


def test_many_pauses_of_random_length() -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        begins = np.cumsum(rng.integers(30, 200, 12)) * MS
        missing = [(int(b), int(b + rng.integers(5, 120) * MS)) for b in begins]
        assert drive(every_cycle(END_NS, missing)).peak < MOST


def test_after_a_recovery_the_stream_begins_at_the_measured_joints() -> None:
    arm = drive(every_cycle(END_NS))
    arm.commander.fail("the robot made a reflex stop")
    arm.run(END_NS + 400 * MS, range(END_NS, END_NS + 400 * MS, CYCLE_NS))
    beside = arm.motion.sent.position + 0.015 * np.array([1, -1, 1, -1, 1, -1, 1])
    arm.controller.hold(beside)  # switched on where the reflex left the arm
    assert arm.commander.recover()
    arm.commander.recovered()
    assert arm.commander.start()
    arm.commander.measure(MeasuredJoints(arm.now_ns, beside, np.zeros(7)))
    setpoint = arm.commander.cycle(arm.now_ns)
    assert setpoint is not None
    np.testing.assert_array_equal(setpoint.position, beside)


def test_after_an_ordinary_end_the_stream_begins_at_the_last_setpoint() -> None:
    arm = drive(every_cycle(END_NS))
    arm.commander.idle()
    arm.run(END_NS + 400 * MS, range(END_NS, END_NS + 400 * MS, CYCLE_NS))
    last = arm.motion.sent.position
    assert arm.commander.start()
    measured = last + 0.004  # what friction leaves
    arm.commander.measure(MeasuredJoints(arm.now_ns, measured, np.zeros(7)))
    setpoint = arm.commander.cycle(arm.now_ns)
    assert setpoint is not None
    np.testing.assert_allclose(setpoint.position, last, rtol=0, atol=1e-12)
    assert np.abs(last - HOME).max() > 0.01
