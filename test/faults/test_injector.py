# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the injector makes of messages, and the names under which it repeats topics."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")

from dppo_ros import messages
from dppo_ros.drills.injector import (
    Frozen,
    OutOfOrder,
    drop,
    duplicate,
    late,
    remappings,
    shift_clock,
    shift_stamps,
    spoil_numbers,
)

NS = 1_000_000_000


def joints(stamp_ns: int, value: float = 0.0) -> messages.RosObject:
    return messages.encode_vector(stamp_ns, [f"j{i}" for i in range(7)], [value] * 7)


def test_lost_late_and_doubled() -> None:
    message = joints(0)
    assert drop(message) == ()
    assert duplicate(message) == ((0.0, message),) * 3
    assert late(0.5)(message) == ((0.5, message),)


def test_shifted_stamps_keep_the_contents() -> None:
    ((_, moved),) = shift_stamps(-5.0)(joints(7 * NS + 1, 0.3))
    assert messages.stamp_to_ns(moved.header.stamp) == 2 * NS + 1
    assert moved.position[0] == 0.3
    clock = messages.message_class("rosgraph_msgs/msg/Clock")(clock=messages.ns_to_stamp(NS))
    ((_, ahead),) = shift_clock(5.0)(clock)
    assert messages.stamp_to_ns(ahead.clock) == 6 * NS


def test_neighbours_are_swapped() -> None:
    change = OutOfOrder()
    sent = [message for stamp in range(1, 7) for _, message in change(joints(stamp))]
    stamps = [messages.stamp_to_ns(message.header.stamp) for message in sent]
    assert stamps == [2, 1, 4, 3, 6, 5]


def test_frozen_contents_under_fresh_stamps() -> None:
    change = Frozen()
    change(joints(1, 0.1))
    ((_, message),) = change(joints(2, 0.2))
    assert messages.stamp_to_ns(message.header.stamp) == 2
    assert message.position[0] == 0.1


def test_one_number_is_spoiled() -> None:
    pose = messages.encode_pose(0, "tag", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    ((_, spoiled),) = spoil_numbers(math.nan)(pose)
    assert math.isnan(spoiled.pose.position.y)
    ((_, spoiled),) = spoil_numbers(math.inf)(joints(0))
    assert math.isinf(spoiled.position[2])
    chunk = messages.encode_chunk(0, "base", ["a", "b"], [[0.0, 0.0]], 1)
    ((_, spoiled),) = spoil_numbers(math.inf)(chunk)
    assert math.isinf(spoiled.points[0].positions[1])


def test_names_of_repeated_topics() -> None:
    assert remappings(["policy/chunk", "clock"]) == {
        "policy/chunk": "drill/policy/chunk", "/clock": "/drill/clock",
    }  # fmt: skip
