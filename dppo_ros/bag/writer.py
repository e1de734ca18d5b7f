# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes serialised messages into an MCAP bag that appears complete or not at all.

The bag grows in a hidden folder beside its final place and is renamed when it is whole, so a
crash never leaves something that looks like a finished recording. What was written reaches the
disk once every ``flush_s`` seconds, so that ``recovery`` can bring back all but the last moment
of a recording whose process was killed. No rclpy.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from dppo_ros.bag.identity import METADATA_KEY, Identity, write_identity
from dppo_ros.core.errors import BagError
from dppo_ros.qos import quality
from dppo_ros.topics import Topic

COMPRESSIONS = ("none", "zstd")
PARTIAL = ".partial"
_DISTRO_STORES = {"humble": Stores.ROS2_HUMBLE, "jazzy": Stores.ROS2_JAZZY}
_JOIN_S = 60.0
_MB = 1 << 20


def typestore() -> Typestore:
    """Return the message definitions of the ROS release in use, Jazzy when none is named."""
    return get_typestore(_DISTRO_STORES.get(os.environ.get("ROS_DISTRO", ""), Stores.ROS2_JAZZY))


class BagWriter:
    """A bag under construction, fed from one thread and written by its own."""

    def __init__(
        self,
        path: Path,
        topics: Mapping[str, Topic],
        queue_size: int,
        queue_mb: int = 512,
        compression: str = "none",
        flush_s: float = 1.0,
        identity: Identity | None = None,
    ) -> None:
        """Create the hidden folder and start the writing thread.

        Args:
            path: Final folder; must not exist.
            topics: Topics by the full name under which they are recorded.
            queue_size: Messages that may wait for the disk.
            queue_mb: Mebibytes that may wait for the disk.
            compression: ``none`` or ``zstd`` (chunks inside the MCAP file, which ros2 bag reads).
            flush_s: How often what was written is handed to the disk (s).
            identity: What is known at the start.

        Raises:
            BagError: The place is taken or cannot be written, or the compression is unknown.
        """
        if compression not in COMPRESSIONS:
            raise BagError(
                f"bag compression is {compression!r}; choose one of {', '.join(COMPRESSIONS)}"
            )
        self.path = path
        self._partial = path.parent / f".{path.name}{PARTIAL}" / path.name
        if path.exists():
            raise BagError(f"bag {path} exists already; record into another folder or move it away")
        try:
            _keep_interrupted(self._partial.parent)
            self._partial.parent.mkdir(parents=True)
            self._writer = Writer(self._partial, version=8, storage_plugin=StoragePlugin.MCAP)
            if compression == "zstd":
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
            write_identity(self._partial, identity or Identity())
        except OSError as error:
            raise BagError(f"cannot write a bag at {path}: {error.strerror}") from error
        store = typestore()
        self._connections: dict[str, Connection] = {
            name: self._writer.add_connection(
                name, topic.type, typestore=store, offered_qos_profiles=[offered_quality(topic)]
            )
            for name, topic in topics.items()
        }
        self._queue: queue.Queue[tuple[str, int, bytes] | Identity] = queue.Queue()
        self._queue_size, self._queue_bytes = queue_size, queue_mb * _MB
        self._taken_bytes, self._done_bytes = 0, 0
        self._flush_s = flush_s
        self._error: Exception | None = None
        self.lost: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work, name="bag", daemon=True)
        self._thread.start()

    @property
    def size_bytes(self) -> int:
        """Return how many bytes of messages were taken."""
        return self._taken_bytes

    @property
    def finished(self) -> bool:
        """Return whether the writing thread has ended."""
        return not self._thread.is_alive()

    def write(self, topic: str, receive_ns: int, message: bytes) -> None:
        """Queue a serialised message; counts it as lost when the disk is too slow."""
        waiting = self._taken_bytes - self._done_bytes
        if self._queue.qsize() >= self._queue_size or waiting > self._queue_bytes:
            self.lost[topic] += 1
            return
        self._taken_bytes += len(message)
        self._queue.put_nowait((topic, receive_ns, message))

    def finish(self, metadata: Mapping[str, str] | Identity) -> Path:
        """Write what is queued, close the bag and give it its final name.

        Args:
            metadata: What to note in the bag beside its topics.

        Raises:
            BagError: Something could not be written; what there is stays in the hidden folder.
        """
        self.close_soon(metadata if isinstance(metadata, Identity) else Identity(dict(metadata)))
        return self.wait()

    def close_soon(self, identity: Identity) -> None:
        """Let the writing thread close the bag once it has written what is queued."""
        self._queue.put(identity)

    def wait(self) -> Path:
        """Wait for the writing thread after ``close_soon`` and return the finished bag.

        Raises:
            BagError: Something could not be written; what there is stays in the hidden folder.
        """
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            raise BagError(f"bag {self._partial} could not be finished: the disk is too slow")
        if self._error is not None:
            raise BagError(
                f"bag {self.path} could not be finished ({self._error}); what was written is in "
                f"{self._partial}"
            ) from self._error
        return self.path

    def _work(self) -> None:
        flush_at_s = time.monotonic() + self._flush_s
        while True:
            try:
                entry = self._queue.get(timeout=max(flush_at_s - time.monotonic(), 0.0))
            except queue.Empty:
                entry = None
            if isinstance(entry, Identity):
                return self._attempt(self._close, entry)
            if entry is not None:
                self._attempt(self._put, *entry)
            if time.monotonic() >= flush_at_s:
                self._attempt(flush, self._writer)
                flush_at_s = time.monotonic() + self._flush_s

    def _attempt(self, action: Callable[..., None], *arguments: object) -> None:
        try:
            action(*arguments)
        except Exception as error:  # kept for wait(), which reports the first one
            self._error = self._error or error

    def _put(self, topic: str, receive_ns: int, message: bytes) -> None:
        self._done_bytes += len(message)
        if self._error is not None:
            self.lost[topic] += 1
            return
        self._writer.write(self._connections[topic], receive_ns, message)
        self.counts[topic] += 1

    def _close(self, identity: Identity) -> None:
        complete = Identity(identity.notes, identity.episodes, dict(self.counts), dict(self.lost))
        for key, text in complete.flat().items():
            self._writer.set_custom_data(f"{METADATA_KEY}.{key}", text)
        self._writer.close()
        write_identity(self._partial, complete)
        if self._error is None:
            os.rename(self._partial, self.path)
            with contextlib.suppress(OSError):  # somebody may look into it right now
                self._partial.parent.rmdir()


def _keep_interrupted(folder: Path) -> None:
    """Move away what an interrupted recording left, so that it can still be recovered."""
    if not folder.exists():
        return
    index = 0
    while (kept := folder.with_name(f"{folder.name}_{index}")).exists():
        index += 1
    folder.rename(kept)


def flush(writer: Writer) -> None:
    """Hand what was written so far to the disk, as a readable piece of the MCAP file."""
    storage: Any = writer.storage
    if storage is None:
        return
    if storage.chunk.msgs:
        storage.close_chunk()
    storage.bio.flush()
    os.fsync(storage.bio.fileno())


def offered_quality(topic: Topic) -> Qos:
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
