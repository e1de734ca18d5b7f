# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real mismatch of quality of service between two processes: said, shown, and forgotten."""

from __future__ import annotations

import pytest

from dppo_ros import messages

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402 - needs rclpy
from ros_harness import Harness  # noqa: E402 - needs rclpy


def status_of(harness: Harness) -> dict[str, str]:
    """Return the newest diagnostic status of the node."""
    heard = harness.listen("diagnostics")
    return messages.decode_status(heard[-1])[1] if heard else {}


def test_mismatch_is_an_error_until_it_is_put_right(harness: Harness) -> None:
    node = harness.bring_up("display")
    kind = messages.message_class("geometry_msgs/msg/PoseStamped")
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    wrong = harness.node.create_publisher(kind, "/target_pose", best_effort)
    complaint = "/target_pose: a publisher offers less reliability"
    harness.until(lambda: node.said(complaint), "an error")
    assert node.said("qos_overrides./target_pose.subscription.reliability")
    harness.until(
        lambda: status_of(harness).get("qos_mismatches") == "target_pose: reliability", "a status"
    )
    assert harness.listen("diagnostics")[-1].status[0].level == b"\x02"
    harness.node.destroy_publisher(wrong)
    harness.until(lambda: status_of(harness).get("qos_mismatches") == "", "its end")


def test_subscriber_that_demands_too_much_is_named(harness: Harness) -> None:
    node = harness.bring_up("camera", camera="right", source="software")
    kind = messages.message_class("sensor_msgs/msg/CameraInfo")
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    harness.node.create_subscription(
        kind, "/camera/right/color/camera_info", lambda message: None, reliable
    )
    harness.until(
        lambda: node.said("camera/right/color/camera_info: a subscriber demands a reliability"),
        "an error",
    )
