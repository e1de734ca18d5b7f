# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a replay plays: sensors and the clock, in order, byte for byte; never a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from dppo_ros import topics
from dppo_ros.bag.playing import CLOCK, read_schedule
from dppo_ros.core.errors import BagError


def test_only_what_sensors_and_simulator_said_is_played(recorded: Path) -> None:
    schedule = read_schedule(recorded, with_tracks=True)
    assert schedule.topics
    for name in schedule.topics:
        entry = topics.topic(name)
        assert entry.publisher in ("sim", "tag", topics.CAMERA_NODE)
        assert entry.quality not in ("command", "chunk")
    assert "task/status" not in schedule.topics
    assert CLOCK not in schedule.topics


def test_messages_are_the_recorded_bytes_in_the_recorded_order(recorded: Path) -> None:
    schedule = read_schedule(recorded, with_tracks=True)
    played = list(schedule.messages())
    wanted = {f"/{name}" for name in (*schedule.topics, CLOCK)}
    with Reader(recorded) as reader:
        expected = [
            (connection.topic[1:], stamp_ns, bytes(content))
            for connection, stamp_ns, content in reader.messages()
            if connection.topic in wanted
        ]
    assert [(entry.topic, entry.receive_ns, entry.content) for entry in played] == expected
    stamps = [entry.receive_ns for entry in played]
    assert stamps == sorted(stamps)


def test_tracks_are_left_out_where_they_are_made_anew(recorded: Path) -> None:
    assert not [
        name
        for name in read_schedule(recorded, with_tracks=False).topics
        if name.startswith("parts/")
    ]


def test_folder_without_a_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="cannot read bag"):
        read_schedule(tmp_path / "nothing", with_tracks=True)
