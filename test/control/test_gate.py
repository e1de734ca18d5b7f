# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The joint gate names each violation that it refuses; its stops stay inside the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dppo_ros.control import gate as gates
from dppo_ros.control.gate import JointGate, Workspace
from dppo_ros.control.paths import JointState
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.core.errors import SafetyError
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.motion import Measurement
from dppo_ros.drills.gate import storm
from dppo_ros.robots import find_robot

ROBOT = find_robot("panda")
HOME = np.array(ROBOT.home_rad)
BOX = Workspace((0.23, -0.57, -0.015), (0.82, 0.57, 0.42))
STEP_S = 0.005
HERE = Measurement(HOME, 0.0)


def fresh(box: Workspace = BOX) -> JointGate:
    made = JointGate(ROBOT, box, 0.25)
    assert made.begin(HOME) == ""
    return made


def moved(offset: float, velocity: float = 0.0, acceleration: float = 0.0) -> JointState:
    one = np.eye(7)[0]
    return JointState(HOME + offset * one, velocity * one, acceleration * one)


def test_standing_still_passes() -> None:
    gate = fresh()
    assert gate.check(JointState.at_rest(HOME), STEP_S, HERE) == ""
    assert gate.counts.as_dict()["passed"] == 1


@pytest.mark.parametrize(
    ("setpoint", "reason"),
    [
        (moved(np.nan), gates.NOT_FINITE),
        (moved(0.0, np.inf), gates.NOT_FINITE),
        (moved(0.02), gates.JOINT_VELOCITY),  # 4 rad/s
        (moved(0.0, 3.0), gates.JOINT_VELOCITY),
        (moved(0.005), gates.JOINT_ACCELERATION),  # 1 rad/s from rest in 5 ms
        (moved(0.0, 0.0, 30.0), gates.JOINT_ACCELERATION),
        (moved(1.8e-4), gates.JOINT_JERK),  # 7 rad/s2 from rest within 5 ms
        (moved(0.0, 0.06), gates.INCONSISTENT),  # claims to move but does not
        (moved(0.8), gates.MEASURED_DISTANCE),
    ],
)
def test_each_violation_has_its_name(setpoint: JointState, reason: str) -> None:
    gate = fresh()
    measured = HERE
    assert gate.check(setpoint, STEP_S, measured) == reason
    np.testing.assert_array_equal(gate.sent.position, HOME)


@pytest.mark.parametrize(
    ("step_s", "measured", "reason"),
    [
        (0.0, HERE, gates.STEP_TIME),
        (0.2, HERE, gates.STEP_TIME),
        (STEP_S, Measurement(HOME, 0.3), gates.MEASURED_AGE),
        (STEP_S, Measurement(HOME, -0.1), gates.MEASURED_AGE),
        (STEP_S, Measurement(HOME * np.nan, 0.0), gates.NOT_FINITE),
        (STEP_S, Measurement(np.zeros(6), 0.0), gates.NOT_FINITE),
    ],
)
def test_time_and_measurement_are_judged(step_s: float, measured: Measurement, reason: str) -> None:
    assert fresh().check(JointState.at_rest(HOME), step_s, measured) == reason


def test_nothing_begins_outside_the_limits() -> None:
    gate = JointGate(ROBOT, BOX, 0.25)
    beyond = HOME.copy()
    beyond[3] = -0.05
    assert gate.begin(beyond) == gates.JOINT_POSITION
    tool, _ = tool_pose(HOME)
    high = JointGate(ROBOT, Workspace(BOX.low_m, (0.82, 0.57, tool[2] - 0.01)), 0.25)
    assert high.begin(HOME) == gates.WORKSPACE
    with pytest.raises(SafetyError, match="begin at the measured joints"):
        gate.sent  # noqa: B018 - the access itself is what is tested
    into_table = HOME.copy()
    into_table[1] += 0.25
    assert JointGate(ROBOT, replace(BOX, low_m=(0.0, -1.0, -1.0)), 0.25).begin(into_table) in (
        gates.CLEARANCE,
        gates.WORKSPACE,
    )


def test_box_is_judged_where_the_stop_would_end() -> None:
    """Running into a wall is refused while there is still room to stop."""
    tool, _ = tool_pose(HOME)
    wall_m = tool[1] + 0.05
    motion = MotionPipeline(ROBOT, Workspace(BOX.low_m, (0.82, wall_m, 0.42)), 0.25)
    assert motion.begin(HOME) == ""
    motion.follow(HOME + 0.4 * np.eye(7)[0])  # would sweep the tool 0.2 m to the left
    refusals, furthest = [], 0.0
    for _ in range(200):
        setpoint, refusal = motion.step(STEP_S, Measurement(motion.sent.position, 0.0))
        refusals += [refusal] if refusal else []
        furthest = max(furthest, tool_pose(setpoint.position)[0][1])
    assert refusals == [gates.NO_SAFE_STOP]
    assert tool[1] + 0.01 < furthest <= wall_m
    assert motion.at_rest


def test_stop_goes_on_without_any_measurement() -> None:
    motion = MotionPipeline(ROBOT, BOX, 0.25)
    motion.begin(HOME)
    motion.follow(HOME + 0.1)
    for _ in range(20):
        motion.step(STEP_S, Measurement(motion.sent.position, 0.0))
    assert not motion.at_rest
    assert motion.run_out()[-1].velocity.max() == 0.0
    _, refusal = motion.step(STEP_S, None)
    assert refusal
    for _ in range(100):
        motion.step(STEP_S, None)
    assert motion.at_rest


@pytest.mark.parametrize("robot", ["panda", "fr3"])
def test_storm_of_chunks_leaves_no_limit(robot: str) -> None:
    report = storm(6000, seed=7, robot_name=robot)
    assert report.violations == []
    assert report.setpoints > 500
    assert report.states["running"] > 200
    assert 0.9 < report.largest["joint acceleration"] <= 1.001  # limits are used, not avoided
