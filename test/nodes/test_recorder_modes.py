# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder as a process: episodes by service and by status, labels, the ring, other nodes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from dppo_ros import messages
from dppo_ros.bag.identity import read_identity
from dppo_ros.messages import RosObject

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

TRIGGER, SET_BOOL = "std_srvs/srv/Trigger", "std_srvs/srv/SetBool"


def met(harness: Harness, diagnostics: list[RosObject]) -> None:
    """Wait until publisher and recorder know each other: two more reports of the recorder."""
    seen = len(diagnostics)
    harness.until(lambda: len(diagnostics) >= seen + 2, "two reports of the recorder")


def newest(diagnostics: list[RosObject], key: str) -> str:
    return messages.decode_status(diagnostics[-1])[1].get(key, "")


def test_operator_gets_a_bag_for_each_episode_with_settings_of_the_other_nodes(
    harness: Harness, gentle_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bags"
    # Another node whose settings belong to the recording; it is never activated.
    harness.start("policy", bundle=str(gentle_bundle), seed=5)
    recorder = harness.bring_up("recorder", path=str(folder), mode="split")
    pose = harness.publisher("tool_pose")
    diagnostics = harness.listen("diagnostics")
    met(harness, diagnostics)
    refused = harness.call("/recorder/end_episode", TRIGGER)
    assert not refused.success and "no episode runs" in refused.message
    for number in range(2):
        assert harness.call("/recorder/start_episode", TRIGGER).success
        pose.publish(messages.encode_pose(number, "panda_link0", [0, 0, 0, 0, 0, 0, 1]))
        before = int(newest(diagnostics, "messages") or 0)
        harness.until(lambda b=before: int(newest(diagnostics, "messages") or 0) > b, "the pose")
        assert harness.call("/recorder/label", SET_BOOL, data=number == 0).success
        assert harness.call("/recorder/end_episode", TRIGGER).success
    assert not harness.call("/recorder/save", TRIGGER).success
    assert recorder.finish(signal.SIGINT) == 0
    bags = sorted(folder.iterdir())
    assert [bag.name for bag in bags] == ["episode_000", "episode_001"]
    identities = [read_identity(bag) for bag in bags]
    assert [identity.success for identity in identities] == ["true", "false"]
    assert identities[1].notes["policy.seed"] == "5"
    for bag in bags:
        with Reader(bag) as reader:
            assert next(c.msgcount for c in reader.connections if c.topic == "/tool_pose") >= 1


def test_ring_is_saved_by_a_stop_of_the_command_side(harness: Harness, tmp_path: Path) -> None:
    folder = tmp_path / "bags"
    recorder = harness.bring_up("recorder", path=str(folder), mode="ring", tail_s=0.1)
    status, pose = harness.publisher("command/status"), harness.publisher("tool_pose")
    diagnostics = harness.listen("diagnostics")
    met(harness, diagnostics)
    for stamp in range(5):
        pose.publish(messages.encode_pose(stamp, "panda_link0", [0, 0, 0, 0, 0, 0, 1]))
    harness.until(lambda: float(newest(diagnostics, "ring_mb") or 0) > 0.0, "the ring to fill")
    assert newest(diagnostics, "path") == ""
    values = {"mode": "stopped", "reason": "operator stop"}
    status.publish(messages.encode_status(9, "command", "error", "stopped", values))
    harness.until(lambda: newest(diagnostics, "bags") == "1", "the ring to be on disk")
    bag = folder / "saved_000"
    assert read_identity(bag).notes["saved_because"] == "stopped: operator stop"
    with Reader(bag) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert (counts["/tool_pose"], counts["/command/status"]) == (5, 1)
    assert harness.call("/recorder/save", TRIGGER).success
    assert recorder.finish(signal.SIGINT) == 0
    assert sorted(entry.name for entry in folder.iterdir()) == ["saved_000", "saved_001"]
