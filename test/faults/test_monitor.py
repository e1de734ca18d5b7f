# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The judge of commands and the measure of reactions, on streams worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dppo_ros.core.kinematics import tool_pose
from dppo_ros.drills.arm import PANDA, tool_position_m
from dppo_ros.drills.monitor import CommandMonitor
from dppo_ros.drills.timeline import HOLDING, MOVING, UNCOMMANDED, Timeline

MS = 1_000_000
HOME = np.array([-0.0263, 0.3759, 0.1249, -2.1383, -0.0943, 2.4965, 0.0192])
STILL = np.zeros(7)


def judged(*commands: tuple[float, np.ndarray, np.ndarray]) -> CommandMonitor:
    """A monitor after commands given as time (ms), positions, velocities."""
    monitor = CommandMonitor()
    monitor.measured(0, 0, HOME)
    for when_ms, position, velocity in commands:
        monitor.joint_command(round(when_ms * MS), round(when_ms * MS), position, velocity)
    return monitor


def with_value(values: np.ndarray, index: int, value: float) -> np.ndarray:
    changed = values.copy()
    changed[index] = value
    return changed


def test_a_calm_stream_breaks_nothing() -> None:
    speed = with_value(STILL, 0, 0.01)
    ramp = [(5.0 * i, HOME + 5e-3 * i * speed, speed) for i in range(100)]
    monitor = judged(*ramp)
    assert monitor.broken == 0
    assert monitor.commands == 100
    assert monitor.extremes.step_rad == pytest.approx(5e-5)
    assert monitor.extremes.speed == pytest.approx(0.01 / 2.175)


@pytest.mark.parametrize(
    ("rule", "commands"),
    [
        ("shape", [(0.0, HOME[:6], STILL)]),
        ("not finite", [(0.0, with_value(HOME, 3, math.nan), STILL)]),
        ("not finite", [(0.0, HOME, with_value(STILL, 3, -math.inf))]),
        ("joint limit", [(0.0, with_value(HOME, 3, 0.0), STILL)]),
        ("speed", [(0.0, HOME, with_value(STILL, 6, 2.7))]),
        ("workspace", [(0.0, with_value(HOME, 1, 0.9), STILL)]),
        ("far from measured", [(0.0, with_value(HOME, 6, 0.7), STILL)]),
        ("start", [(0.0, with_value(HOME, 6, 0.1), STILL)]),
        ("order", [(5.0, HOME, STILL), (5.0, HOME, STILL)]),
        ("order", [(5.0, HOME, STILL), (1.0, HOME, STILL)]),
        ("jump", [(0.0, HOME, STILL), (5.0, with_value(HOME, 6, 0.04), STILL)]),
        ("acceleration", [(0.0, HOME, STILL), (5.0, HOME, with_value(STILL, 0, 0.1))]),
    ],
)
def test_every_rule(rule: str, commands: list[tuple[float, np.ndarray, np.ndarray]]) -> None:
    monitor = judged(*commands)
    assert monitor.violations[rule] >= 1
    assert any(rule in example for example in monitor.examples)


def test_a_stream_may_start_anew_after_a_pause_near_the_measured_joints() -> None:
    elsewhere = with_value(HOME, 6, 0.2)
    monitor = judged((0.0, HOME, STILL))
    monitor.measured(1000 * MS, 1000 * MS, elsewhere)
    monitor.joint_command(1000 * MS, 1000 * MS, elsewhere, STILL)
    assert monitor.broken == 0
    monitor.restart()
    monitor.joint_command(0, 0, HOME, STILL)
    assert monitor.broken == 0


def test_commands_that_were_lost_on_the_way_are_no_pause() -> None:
    away = with_value(HOME, 6, 0.1)
    for number, starts in ((14, 0), (2, 1), (1, 1)):  # 12 sent in 60 ms; none between; sent anew
        monitor = measured_at((0.0, HOME))
        monitor.joint_command(0, 0, HOME, STILL, 2 if number == 14 else 1)
        monitor.joint_command(60 * MS, 60 * MS, away, STILL, number)
        assert monitor.violations["start"] == starts


def measured_at(*moments: tuple[float, np.ndarray]) -> CommandMonitor:
    """A monitor that knows the arm at these times (ms)."""
    monitor = CommandMonitor()
    for when_ms, joints in moments:
        monitor.measured(round(when_ms * MS), round(when_ms * MS), joints)
    return monitor


# The last joint may be 0.5 rad away, and brakes from 2.61 rad/s at 20 rad/s^2 within 0.170 rad.
FAR, TOO_FAR = with_value(HOME, 6, 0.65), with_value(HOME, 6, 0.7)


def far(monitor: CommandMonitor, when_ms: float, position: np.ndarray) -> bool:
    monitor.joint_command(round(when_ms * MS), round(when_ms * MS), position, STILL)
    return monitor.violations["far from measured"] > 0


def test_a_stop_may_lead_beyond_the_distance_at_which_it_began() -> None:
    assert not far(measured_at((0.0, HOME)), 0.0, FAR)
    assert far(measured_at((0.0, HOME)), 0.0, TOO_FAR)


def test_an_arm_measured_long_ago_may_have_gone_on() -> None:
    assert not far(measured_at((0.0, HOME)), 20.0, TOO_FAR)  # 0.12 rad more in 20 ms
    assert far(measured_at((0.0, HOME)), 20.0, with_value(HOME, 6, 0.85))


def test_a_command_may_rest_on_what_was_measured_a_quarter_of_a_second_ago() -> None:
    assert not far(measured_at((0.0, FAR), (240.0, HOME)), 240.0, TOO_FAR)
    assert far(measured_at((0.0, FAR), (300.0, HOME)), 300.0, TOO_FAR)


def test_what_was_measured_after_a_command_speaks_neither_for_it_nor_against_it() -> None:
    assert far(measured_at((0.0, HOME), (10.0, TOO_FAR)), 0.0, TOO_FAR)
    assert not far(measured_at((0.0, FAR), (10.0, HOME)), 0.0, TOO_FAR)


def test_commands_are_counted_while_the_arm_is_put_elsewhere() -> None:
    monitor = judged((0.0, HOME, STILL))
    monitor.suspended = True
    monitor.joint_command(5 * MS, 5 * MS, with_value(HOME, 6, 2.0), STILL)
    assert (monitor.commands, monitor.unjudged, monitor.broken) == (1, 1, 0)


def test_a_clock_that_was_set_is_no_jump_of_the_arm() -> None:
    monitor = judged((10_000.0, HOME, STILL), (10_005.0, HOME, STILL))
    monitor.joint_command(5000 * MS, 10_010 * MS, HOME, STILL)
    monitor.joint_command(5005 * MS, 10_015 * MS, HOME, STILL)
    assert monitor.broken == 0
    monitor.joint_command(9000 * MS, 10_020 * MS, with_value(HOME, 6, 0.2), STILL)
    assert monitor.violations["jump"] == 1


def test_tool_goals_and_gripper() -> None:
    monitor = CommandMonitor()
    monitor.target_pose([0.5, 0.0, 0.1, 1.0, 0.0, 0.0, 0.0])
    monitor.gripper(-1.0)
    assert monitor.broken == 0
    monitor.target_pose([0.5, 0.0, -0.1, 1.0, 0.0, 0.0, 0.0])
    monitor.target_pose([0.5, 0.0, 0.1, 0.9, 0.0, 0.0, 0.0])
    monitor.target_pose([0.5, math.nan, 0.1, 1.0, 0.0, 0.0, 0.0])
    monitor.gripper(math.nan)
    assert dict(monitor.violations) == {
        "workspace": 1, "not a rotation": 1, "not finite": 1, "gripper": 1,
    }  # fmt: skip


@settings(max_examples=50)
@given(arrays(np.float64, 7, elements=st.floats(0.0, 1.0)))
def test_two_forward_kinematics_agree(share: np.ndarray) -> None:
    joints = PANDA.lower_rad + share * (PANDA.upper_rad - PANDA.lower_rad)
    # The lengths of the hand, from two sources, differ by a micrometre.
    np.testing.assert_allclose(tool_position_m(joints), tool_pose(joints)[0], atol=2e-6)


def test_reaction_times() -> None:
    timeline = Timeline()
    for index in range(100):
        moving = index < 20 or 30 <= index < 40  # a short standstill does not count as rest
        timeline.command(index * 10 * MS, 0.5 if moving else 0.0)
        timeline.measure(index * 10 * MS, 0.5 if index < 50 else 0.0)
    timeline.state(0, "running", "")
    timeline.state(250 * MS, "holding", "silence")
    timeline.state(260 * MS, "holding", "silence")
    assert timeline.state_after_ms(100 * MS, ("holding",)) == (150.0, "silence")
    assert timeline.state_after_ms(251 * MS, ("holding",)) is None
    assert timeline.command_rest_ms(100 * MS) == 300.0
    assert timeline.robot_rest_ms(100 * MS) == 400.0
    assert timeline.command_rest_ms(2000 * MS) is None
    assert timeline.moved_after(380 * MS)
    assert not timeline.moved_after(400 * MS)


def test_a_hold_that_ends_by_itself_is_not_rest() -> None:
    timeline = Timeline()
    for index in range(200):
        holding = 20 <= index < 60 or index >= 100
        timeline.command(index * 10 * MS, 0.0 if holding else 0.5)
    assert not timeline.rests(100 * MS, 500 * MS, 0.4)  # at rest for 0.3 s
    assert timeline.rests(100 * MS, 2000 * MS, 0.4)
    assert not timeline.rests(1800 * MS, 2000 * MS, 0.4)  # the fault is younger than that
    assert timeline.command_rest_ms(100 * MS) == 100.0
    assert timeline.command_rest_ms(100 * MS, lasting=True) == 900.0
    timeline.command(2000 * MS, 0.5)
    assert not timeline.rests(100 * MS, 2010 * MS, 0.4)
    assert timeline.command_rest_ms(100 * MS, lasting=True) is None
    timeline.state(150 * MS, "holding", "late")
    timeline.state(600 * MS, "running", "")
    timeline.state(950 * MS, "holding", "silence")
    timeline.state(960 * MS, "holding", "blind")
    assert timeline.state_after_ms(100 * MS, ("holding",)) == (50.0, "late")
    assert timeline.lasting_state_ms(100 * MS, ("holding",)) == (850.0, "silence")
    timeline.state(970 * MS, "running", "")
    assert timeline.lasting_state_ms(100 * MS, ("holding",)) is None


def test_what_the_robot_is_doing() -> None:
    timeline = Timeline()
    assert timeline.motion(0) == UNCOMMANDED
    timeline.command(0, 0.0)
    assert timeline.motion(50 * MS) == HOLDING
    assert timeline.motion(500 * MS) == UNCOMMANDED
    timeline.command(500 * MS, 0.4)
    assert timeline.motion(500 * MS) == MOVING
    timeline.forget_before(500 * MS)
    assert len(timeline.commanded) == 1
