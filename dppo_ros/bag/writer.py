# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes serialised messages into an MCAP bag that appears complete or not at all.

The bag grows in a hidden folder beside its final place and is renamed when it is whole, so a
crash never leaves something that looks like a finished recording. No rclpy.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from dppo_ros.core.errors import BagError
from dppo_ros.graph import Topic
from dppo_ros.qos import quality

METADATA_KEY = "dppo_ros"
_DISTRO_STORES = {"humble": Stores.ROS2_HUMBLE, "jazzy": Stores.ROS2_JAZZY}
_JOIN_S = 60.0


def typestore() -> Typestore:
    """Return the message definitions of the ROS release in use, Jazzy when none is named."""
    return get_typestore(_DISTRO_STORES.get(os.environ.get("ROS_DISTRO", ""), Stores.ROS2_JAZZY))


class BagWriter:
    """A bag under construction, fed from any thread and written by its own."""

    def __init__(self, path: Path, topics: Mapping[str, Topic], queue_size: int) -> None:
        """Create the hidden folder and start the writing thread.

        Args:
            path: Final folder; must not exist.
            topics: Topics by the full name under which they are recorded.
            queue_size: Messages that may wait for the disk.

        Raises:
            BagError: The place is taken or cannot be written.
        """
        self.path = path
        self._partial = path.parent / f".{path.name}.partial" / path.name
        if path.exists():
            raise BagError(f"bag {path} exists already; record into another folder or move it away")
        try:
            shutil.rmtree(self._partial.parent, ignore_errors=True)
            self._partial.parent.mkdir(parents=True)
        except OSError as error:
            raise BagError(f"cannot write a bag at {path}: {error.strerror}") from error
        self._writer = Writer(self._partial, version=8, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        store = typestore()
        self._connections: dict[str, Connection] = {
            name: self._writer.add_connection(
                name, topic.type, typestore=store, offered_qos_profiles=[_offered(topic)]
            )
            for name, topic in topics.items()
        }
        self._queue: queue.Queue[tuple[str, int, bytes] | None] = queue.Queue(queue_size)
        self._error: Exception | None = None
        self.lost = 0
        self.counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work, name="bag", daemon=True)
        self._thread.start()

    def write(self, topic: str, receive_ns: int, message: bytes) -> None:
        """Queue a serialised message; counts it as lost when the disk is too slow."""
        try:
            self._queue.put_nowait((topic, receive_ns, message))
        except queue.Full:
            self.lost += 1

    def finish(self, metadata: Mapping[str, str]) -> Path:
        """Write what is queued, close the bag and give it its final name.

        Args:
            metadata: What to note in the bag beside its topics.

        Raises:
            BagError: Something could not be written; what there is stays in the hidden folder.
        """
        self._queue.put(None)
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            raise BagError(f"bag {self._partial} could not be finished: the disk is too slow")
        try:
            for key, value in metadata.items():
                self._writer.set_custom_data(f"{METADATA_KEY}.{key}", value)
            self._writer.close()
            if self._error is not None:
                raise self._error
            os.rename(self._partial, self.path)
            self._partial.parent.rmdir()
        except Exception as error:  # rosbags and the file system raise many kinds
            raise BagError(
                f"bag {self.path} could not be finished ({error}); what was written is in "
                f"{self._partial}"
            ) from error
        return self.path

    def _work(self) -> None:
        while (entry := self._queue.get()) is not None:
            topic, receive_ns, message = entry
            if self._error is not None:
                self.lost += 1
                continue
            try:
                self._writer.write(self._connections[topic], receive_ns, message)
                self.counts[topic] += 1
            except Exception as error:  # kept for finish(), which reports it
                self._error = error


def _offered(topic: Topic) -> Qos:
    """Return the quality that a player should offer for a topic."""
    chosen = quality(topic.quality)
    forever = QosTime(9223372036, 854775807)  # the infinity of rmw
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=chosen.depth,
        reliability=QosReliability.RELIABLE if chosen.reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if chosen.latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


def silent_topics(counts: Mapping[str, int], topics: Sequence[str]) -> list[str]:
    """Return the topics of which nothing was recorded."""
    return [name for name in topics if not counts.get(name)]
