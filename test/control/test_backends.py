# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What each back-end publishes, robot problems, and the hand's goals, without a ROS graph."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from dppo_ros import messages
from dppo_ros.control.gate import Workspace
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.core.command_state import Setpoint
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.motion import Measurement
from dppo_ros.nodes.backends import (
    CrispBackend,
    JointPositionBackend,
    JointTrajectoryBackend,
    TwinBackend,
)
from dppo_ros.nodes.franka import REFLEX, USER_STOPPED, robot_problem
from dppo_ros.nodes.gripper_actions import GripperGoal, LatchChanges
from dppo_ros.robots import find_robot

ROBOT = find_robot("panda")
HOME = np.array(ROBOT.home_rad)
CYCLE_NS = 5_000_000


class Node:
    """Collects what is published; stands for node and publisher alike."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    def publish(self, message: object) -> None:
        self.sent.append(message)

    def advertise_as(self, kind: str, topic: str, profile: object) -> Node:
        return self

    def text(self, name: str) -> str:
        return "panda_link0"

    def number(self, name: str) -> float:
        return {"setpoint_rate_hz": 1e9 / CYCLE_NS}[name]


def moving_pipeline() -> MotionPipeline:
    motion = MotionPipeline(ROBOT, Workspace((0.0, -1.0, -0.1), (1.0, 1.0, 1.0)), 0.25)
    motion.begin(HOME)
    motion.follow(HOME + 0.1)
    return motion


def stream(kind: type, count: int, jitter_ns: int = 0) -> tuple[Node, MotionPipeline]:
    """Send so many setpoints, every other one stamped a little late."""
    node, motion = Node(), moving_pipeline()
    backend = kind(node, motion, lambda topic: node)
    for index in range(count):
        state, refusal = motion.step(CYCLE_NS * 1e-9, Measurement(motion.sent.position, 0.0))
        assert refusal == ""
        stamp_ns = 1_000_000_000 + index * CYCLE_NS + jitter_ns * (index % 4 == 0)
        backend.send(Setpoint(stamp_ns, state.position, state.velocity, None))
    return node, motion


def test_twin_gets_every_setpoint_with_its_velocity() -> None:
    node, motion = stream(TwinBackend, 20)
    assert len(node.sent) == 20
    values = messages.decode_arm(node.sent[-1], "panda").values
    np.testing.assert_array_equal(values[:7], motion.sent.position)
    np.testing.assert_array_equal(values[7:], motion.sent.velocity)


def test_forward_controller_gets_positions() -> None:
    node, motion = stream(JointPositionBackend, 20)
    assert len(node.sent) == 20
    np.testing.assert_array_equal(node.sent[-1].data, motion.sent.position)


def test_trajectory_is_the_setpoint_and_the_stop_after_it() -> None:
    node, motion = stream(JointTrajectoryBackend, 19)
    assert len(node.sent) == 19
    message = node.sent[-1]
    assert tuple(message.joint_names) == ROBOT.joint_names
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    times = [messages.stamp_to_ns(point.time_from_start) for point in message.points]
    assert times == sorted(set(times))
    assert times[0] == CYCLE_NS  # reached when the next message is due
    np.testing.assert_array_equal(message.points[0].positions, motion.sent.position)
    assert np.abs(message.points[0].velocities).max() > 0.0
    assert list(message.points[-1].velocities) == [0.0] * 7
    # The controller would come to rest a little further on the way.
    ahead = np.array(message.points[-1].positions) - motion.sent.position
    assert (ahead > 0.0).all()
    assert ahead.max() < 0.1


def test_standing_arm_gets_a_single_point_at_rest() -> None:
    node, motion = Node(), moving_pipeline()
    motion.begin(HOME)
    JointTrajectoryBackend(node, motion, lambda topic: node).send(
        Setpoint(0, HOME, np.zeros(7), None)
    )
    assert len(node.sent[0].points) == 1
    assert list(node.sent[0].points[0].velocities) == [0.0] * 7


@pytest.mark.parametrize("jitter_ns", [0, 20_000])
def test_crisp_gets_the_tool_pose_at_fifty_hertz(jitter_ns: int) -> None:
    node, motion = stream(CrispBackend, 41, jitter_ns)
    assert len(node.sent) == 11
    pose = messages.decode_pose(node.sent[-1])
    assert pose.frame == "panda_link0"
    np.testing.assert_allclose(pose.values[:3], tool_pose(motion.sent.position)[0])


@pytest.mark.parametrize(
    ("mode", "errors", "rate", "expected"),
    [
        (2, [], 0.99, ""),
        (1, [], 0.0, ""),
        (REFLEX, [], 0.0, "reflex"),
        (USER_STOPPED, [], 0.0, "user stop"),
        (2, ["joint_reflex", "cartesian_reflex"], 1.0, "cartesian_reflex, joint_reflex"),
        (2, [], 0.5, "50%"),
    ],
)
def test_robot_state_that_forbids_commands(
    mode: int, errors: list[str], rate: float, expected: str
) -> None:
    problem = robot_problem(mode, errors, rate)
    assert expected in problem
    assert bool(problem) == bool(expected)


def test_hand_gets_a_goal_for_each_change_only() -> None:
    changes = LatchChanges(0.065)
    assert changes.goal(-1.0) == GripperGoal(0.065, grasps=False)
    assert changes.goal(-0.4) is None
    assert changes.goal(0.3) == GripperGoal(0.0, grasps=True)
    assert changes.goal(1.0) is None
    assert changes.goal(-1.0) == GripperGoal(0.065, grasps=False)


def test_torques_are_watched() -> None:
    from dppo_ros.control.effort import EffortWatch

    watch, ms = EffortWatch(ROBOT.policy.joints), 1_000_000
    quiet = np.array([5.0, -20.0, 3.0, 15.0, 1.0, 2.0, 0.5])
    assert watch.problem(0, quiet) == ""
    # 4 Nm within 1 ms may be noise; 4 Nm within 10 ms are 400 Nm/s.
    assert watch.problem(1 * ms, quiet + 4.0) == ""
    assert watch.problem(10 * ms, quiet + 4.0) == ""
    assert "joint 5 is 11.5 Nm" in watch.problem(20 * ms, quiet + 10.5 * np.eye(7)[4])
    assert "changes by 1500 Nm/s" in watch.problem(20 * ms, quiet + 19.0 * np.eye(7)[1])
    assert "not finite" in watch.problem(30 * ms, quiet * np.nan)
