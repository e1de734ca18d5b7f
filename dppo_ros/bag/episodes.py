# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bag -> arrays: what an episode recorded, decoded by the same code as in the live nodes.

Legend: D_o observation numbers, D_a action numbers, n actions in a chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from dppo_ros import messages, topics
from dppo_ros.bag.executed import executed_actions
from dppo_ros.bag.identity import read_identity
from dppo_ros.bag.writer import typestore
from dppo_ros.core.aligner import required_streams
from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.errors import BagError, ConfigError, DppoError, ObservationError
from dppo_ros.core.rotations import FloatArray
from dppo_ros.core.spec import VectorSpec
from dppo_ros.messages import ChunkMessage, RosObject, Stamped

COMMAND_TOPICS = ("target_pose", "gripper/command")
_OPTIONAL_TOPICS = (
    "policy/observation", "policy/chunk", "policy/status", "command/status", "task/status",
)  # fmt: skip


@dataclass(frozen=True)
class Received:
    """A sample of an observation stream, in the order of recording.

    Attributes:
        stream: Stream name.
        receive_ns: When the recorder received it (ns, wall).
        sample: What it says.
    """

    stream: str
    receive_ns: int
    sample: Stamped


@dataclass(frozen=True)
class Status:
    """A recorded status message.

    Attributes:
        receive_ns: When the recorder received it (ns, wall).
        stamp_ns: Time of the status (ns).
        values: Key-values.
    """

    receive_ns: int
    stamp_ns: int
    values: Mapping[str, str]


@dataclass
class Episode:
    """Everything that a replay needs from a bag; all dictionaries are keyed by stamp (ns).

    Attributes:
        path: The bag.
        metadata: What the recorder noted, such as ``bundle_sha256`` and ``seed``.
        samples: Observation samples in the order of recording.
        vectors: Observation vectors that the live policy saw, (D_o,).
        chunks: Chunks that the live policy published.
        goals: Tool goals on ``target_pose``: receive time and pose (7,).
        grippers: Gripper values on ``gripper/command``.
        executed: Actions that were executed: receive time and action (D_a,).
        statuses: Status messages by topic.
        alignment: How the live observation node made observations from the samples.
    """

    path: Path
    metadata: dict[str, str]
    samples: list[Received] = field(default_factory=list)
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    chunks: dict[int, ChunkMessage] = field(default_factory=dict)
    goals: dict[int, tuple[int, FloatArray]] = field(default_factory=dict)
    grippers: dict[int, float] = field(default_factory=dict)
    executed: dict[int, tuple[int, FloatArray]] = field(default_factory=dict)
    statuses: dict[str, list[Status]] = field(default_factory=dict)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)

    def executed_action(self, stamp_ns: int) -> FloatArray | None:
        """Return the action (D_a,) that was executed at a control tick, None if there was none."""
        found = self.executed.get(stamp_ns)
        return None if found is None else found[1]


def read_episode(path: Path, spec: VectorSpec) -> Episode:
    """Return the episode in a bag.

    Args:
        path: Bag folder.
        spec: Observation layout, whose streams must be in it.

    Raises:
        BagError: The bag cannot be read or lacks a topic.
        ConfigError: No topic can provide a field of the layout.
    """
    if not (path / "metadata.yaml").is_file():
        raise BagError(
            f"{path} is not a finished bag (no metadata.yaml in it); give the folder that the "
            "recorder reported at its end"
        )
    try:
        with Reader(path) as reader:
            return _read(path, reader, spec)
    except DppoError:
        raise
    except Exception as error:  # rosbags raises many kinds on damaged files
        raise BagError(
            f"bag {path} cannot be read ({type(error).__name__}: {error}); it is truncated, "
            "altered, or of a format that rosbags does not know"
        ) from error


def _alignment(reader: Reader) -> AlignmentSettings:
    """Return what the observation node noted; recordings from before it existed hold nothing."""
    connections = _connections(reader, "observation/status")
    store = typestore()
    for connection, _, raw in reader.messages(connections=connections):
        _, values = messages.decode_status(store.deserialize_cdr(raw, connection.msgtype))
        return AlignmentSettings.from_text(values.get("alignment", ""))
    return AlignmentSettings()


def _read(path: Path, reader: Reader, spec: VectorSpec) -> Episode:
    alignment = _alignment(reader)
    known = topics.stream_topics(truth=alignment.part_source == "truth")
    streams = required_streams(spec, alignment)
    unknown = sorted(set(streams) - set(known))
    if unknown:
        raise ConfigError(
            f"the layout needs the streams {', '.join(unknown)}, which no topic provides; known "
            f"streams: {', '.join(known)}"
        )
    names = {stream: known[stream].name for stream in streams}
    wanted = (*names.values(), *COMMAND_TOPICS, *_OPTIONAL_TOPICS)
    found = {name: _connections(reader, name) for name in wanted}
    missing = [
        name
        for name in names.values()
        if not any(connection.msgcount for connection in found[name])
    ]
    if missing:
        raise _lacks(path, reader, missing)
    episode = Episode(path, read_identity(path).flat(), alignment=alignment)
    handlers = _handlers(episode, names)
    by_id = {c.id: name for name, connections in found.items() for c in connections}
    store = typestore()
    chosen = [connection for connections in found.values() for connection in connections]
    read: Counter[int] = Counter()
    for connection, receive_ns, raw in reader.messages(connections=chosen):
        name = by_id[connection.id]
        handlers[name](receive_ns, store.deserialize_cdr(raw, connection.msgtype))
        read[connection.id] += 1
    for connection in chosen:
        # MCAP without checksums can lose records to damage without any error from the reader.
        if read[connection.id] != connection.msgcount:
            raise BagError(
                f"bag {path} holds {read[connection.id]} readable messages on {connection.topic}, "
                f"but its index counts {connection.msgcount}; it is damaged, copy it again"
            )
    episode.executed.update(executed_actions(episode))
    if not episode.executed:
        raise _lacks(path, reader, COMMAND_TOPICS[:1])
    return episode


def _lacks(path: Path, reader: Reader, missing: Sequence[str]) -> BagError:
    present = ", ".join(sorted(c.topic for c in reader.connections if c.msgcount)) or "nothing"
    return BagError(
        f"bag {path} has no messages on {', '.join(missing)}; it holds {present}. Record with "
        "'dppo-ros up one_leg --record FOLDER' or with every topic of the graph"
    )


def _connections(reader: Reader, name: str) -> list[Connection]:
    """Return the connections of a topic of the graph, whatever namespace it was recorded in."""
    expected = topics.topic(name).type
    matching = [c for c in reader.connections if c.topic == f"/{name}"]
    if not matching:
        matching = [c for c in reader.connections if c.topic.endswith(f"/{name}")]
    if len({c.topic for c in matching}) > 1:
        raise BagError(
            f"bag has several topics named {name}: {', '.join(sorted({c.topic for c in matching}))}"
        )
    for connection in matching:
        if connection.msgtype != expected:
            raise BagError(
                f"topic {connection.topic} has type {connection.msgtype}; it must be {expected}"
            )
    return matching


def _decode(episode: Episode, stream: str, message: RosObject) -> Stamped:
    if stream in ("gripper_width", "arm_joints"):
        return messages.decode_joints(stream, message, episode.alignment.arm_prefix)
    return messages.decode_stream(stream, message)


def _handlers(
    episode: Episode, names: Mapping[str, str]
) -> dict[str, Callable[[int, RosObject], None]]:
    """Return what to do with a message, by relative topic name."""

    def on_goal(receive_ns: int, message: RosObject) -> None:
        goal = messages.decode_pose(message)
        episode.goals.setdefault(goal.stamp_ns, (receive_ns, goal.values))

    def on_gripper(receive_ns: int, message: RosObject) -> None:
        stamp_ns, _, values = messages.decode_vector(message)
        if values.size == 1:
            episode.grippers.setdefault(stamp_ns, float(values[0]))

    def on_vector(receive_ns: int, message: RosObject) -> None:
        stamp_ns, _, values = messages.decode_vector(message)
        episode.vectors[stamp_ns] = values.astype(np.float32)

    def on_chunk(receive_ns: int, message: RosObject) -> None:
        chunk = messages.decode_chunk(message)
        episode.chunks[chunk.stamp_ns] = chunk

    def on_sample(streams: Sequence[str]) -> Callable[[int, RosObject], None]:
        def add(receive_ns: int, message: RosObject) -> None:
            for stream in streams:
                # Drivers may send arm and gripper apart; the live node passes over the rest too.
                with suppress(ObservationError):
                    sample = _decode(episode, stream, message)
                    episode.samples.append(Received(stream, receive_ns, sample))

        return add

    def on_status(name: str) -> Callable[[int, RosObject], None]:
        def add(receive_ns: int, message: RosObject) -> None:
            stamp_ns, values = messages.decode_status(message)
            episode.statuses.setdefault(name, []).append(Status(receive_ns, stamp_ns, values))

        return add

    return {
        "target_pose": on_goal,
        "gripper/command": on_gripper,
        "policy/observation": on_vector,
        "policy/chunk": on_chunk,
        **{
            topic: on_sample([stream for stream, name in names.items() if name == topic])
            for topic in set(names.values())
        },
        **{name: on_status(name) for name in _OPTIONAL_TOPICS if name.endswith("/status")},
    }
