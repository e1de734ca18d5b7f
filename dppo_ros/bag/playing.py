# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag as a schedule: which recorded bytes go out when. No rclpy.

Only what sensors, robot and simulator said is played; what our own nodes said is what they are to
say again. Commands are never played: a replay must not be able to move an arm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError

from dppo_ros import messages, topics
from dppo_ros.bag.writer import typestore
from dppo_ros.core.errors import BagError

CLOCK = "clock"
_SOURCES = ("sim", topics.CAMERA_NODE)
_NEVER = ("task/status",)
"""Judgements of the simulator: nobody listens, and a recorder would take them for its own."""


@dataclass(frozen=True)
class Recorded:
    """One recorded message.

    Attributes:
        topic: Relative name of its topic.
        receive_ns: When the recorder received it (ns, wall).
        content: Its serialised form.
    """

    topic: str
    receive_ns: int
    content: bytes


@dataclass(frozen=True)
class Schedule:
    """What there is to play.

    Attributes:
        path: The bag.
        topics: Names of the recorded topics that are played, without the clock.
        has_clock: Whether the recorded system followed ``/clock``; otherwise the time of day.
        start_ns: First time of the system (ns): of the recorded clock, or of the first message.
        end_ns: Receive time of the last message (ns).
    """

    path: Path
    topics: tuple[str, ...]
    has_clock: bool
    start_ns: int
    end_ns: int

    def messages(self) -> Iterator[Recorded]:
        """Yield the messages in the order in which they were received, the clock included."""
        with Reader(self.path) as reader:
            chosen = _chosen(reader, {*self.topics, CLOCK})
            for connection, receive_ns, content in reader.messages(list(chosen.values())):
                yield Recorded(connection.topic.removeprefix("/"), receive_ns, bytes(content))


def read_schedule(path: Path, with_tracks: bool) -> Schedule:
    """Return what a bag has to play.

    Args:
        path: Folder of the bag.
        with_tracks: Also play tracked part poses; false where the tag node makes them anew.

    Raises:
        BagError: The bag cannot be read or holds nothing to play.
    """
    sources = (*_SOURCES, "tag") if with_tracks else _SOURCES
    names = {entry.name for entry in topics.TOPICS if entry.publisher in sources}
    try:
        with Reader(path) as reader:
            chosen = _chosen(reader, names - set(_NEVER))
            found = sorted(set(chosen) - {CLOCK})
            if not found:
                raise BagError(
                    f"bag {path} holds nothing to play: none of the robot's and camera topics of "
                    "the graph; record with dppo-ros up ... record:=FOLDER"
                )
            clocks = [chosen[CLOCK]] if CLOCK in chosen else []
            start_ns, has_clock = reader.start_time, False
            for connection, _, content in reader.messages(clocks) if clocks else ():
                first = typestore().deserialize_cdr(content, connection.msgtype)
                start_ns, has_clock = messages.stamp_to_ns(first.clock), True  # type: ignore[attr-defined]
                break
            return Schedule(path, tuple(found), has_clock, start_ns, reader.end_time)
    except (ReaderError, OSError) as error:
        raise BagError(f"cannot read bag {path}: {error}") from error


def _chosen(reader: Reader, names: set[str]) -> dict[str, Connection]:
    """Return the connections of these topics that hold messages, by relative name."""
    return {
        name: connection
        for connection in reader.connections
        if connection.msgcount and (name := connection.topic.removeprefix("/")) in names
    }
