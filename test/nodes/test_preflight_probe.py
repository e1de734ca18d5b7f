# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The preflight over real topics: a robot with many faults at once, and each is seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from dppo_ros import messages, topics
from dppo_ros.core.bundle import load_bundle
from dppo_ros.paths import shipped_bundle
from dppo_ros.preflight.expectation import expect
from dppo_ros.preflight.run import judge

if TYPE_CHECKING:
    from ros_harness import Harness

pytestmark = pytest.mark.ros
PERIOD_S = 0.02
LATE_NS = 2_000_000_000
MIXED_UP = [0.0192, -0.0263, 0.3759, 0.1249, -2.1383, -0.0943, 2.4965]


class FaultyRobot:
    """Publishes what a robot's drivers would, wrongly, from a thread of its own."""

    def __init__(self, harness: Harness) -> None:
        from rclpy.qos import QoSProfile, ReliabilityPolicy

        best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        node = harness.node
        self._node = node

        def publisher(name: str, profile: object = 10) -> messages.RosObject:
            kind = messages.message_class(topics.topic(name).type)
            return node.create_publisher(kind, f"/{name}", profile)

        self._joints = publisher("joint_states", best_effort)
        self._pose = publisher("tool_pose")
        self._parts = {
            part: publisher(f"parts/{part}/pose", best_effort if part == "leg3" else 10)
            for part in topics.TRACKED[1:]
        }
        self._strangers = [publisher("target_pose"), publisher("policy/chunk")]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        names = [f"panda_joint{i}" for i in range(1, 8)]
        fingers = ["panda_finger_joint1", "panda_finger_joint2"]
        lying = (0.0, 0.2, -0.015, 0.0, 0.0, 0.0, 1.0)
        while not self._stop.wait(PERIOD_S):
            now_ns = int(self._node.get_clock().now().nanoseconds)
            values = [*MIXED_UP, 0.03, 0.03]
            self._joints.publish(
                messages.encode_vector(now_ns, [*names, *fingers], values, velocities=[0.0] * 9)
            )
            reset = (0.567, 0.055, 0.124, 0.893, 0.449, -0.008, 0.003)
            self._pose.publish(messages.encode_pose(now_ns, "world", reset))
            for part, sender in self._parts.items():
                late_ns = LATE_NS if part == "leg1" else 0
                sender.publish(messages.encode_pose(now_ns - late_ns, "tag", lying))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def robot(harness: Harness) -> Iterator[FaultyRobot]:
    made = FaultyRobot(harness)
    yield made
    made.close()


def test_faults_of_a_robot_are_seen_over_real_topics(robot: FaultyRobot) -> None:
    from dppo_ros.preflight.probe import Probe

    bundle = load_bundle(shipped_bundle())
    expected = expect({"sim": "false", "poses": "external"}, bundle.manifest)
    probe = Probe()
    try:
        missing = probe.wait_for(["joint_states", "parts/leg4/pose", "parts/top/pose"], 3.0)
        seen = probe.look(1.5, expected.nodes, (expected.controller,))
    finally:
        probe.close()
    assert missing == ["parts/top/pose"]
    assert not seen.simulated
    steps = {step.name: step for step in judge(expected, seen, bundle) if step.status != "ok"}
    assert "nobody publishes" in steps["parts/top/pose"].seen
    # Readers of the robot's own topics are best effort on a robot; those of part poses are not.
    assert "joint_states" not in steps
    assert "best effort, but reliable is demanded" in steps["parts/leg3/pose"].seen
    assert "/tester" in steps["sole publisher of target_pose"].seen
    assert "/tester" in steps["sole publisher of policy/chunk"].seen
    assert steps["stamps of parts/leg1/pose"].status == "fail"
    assert "stamps of parts/leg2/pose" not in steps
    assert "'world'" in steps["frame of tool_pose"].seen
    assert steps["joint angles within limits"].status == "fail"
    assert steps["tool pose against joints"].status == "fail"
    assert steps[f"somebody obeys {expected.controller}"].status == "fail"
