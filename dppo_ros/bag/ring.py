# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The newest messages in memory, bounded in time and in bytes. No rclpy."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from typing import NamedTuple

_NS = 1_000_000_000


class Entry(NamedTuple):
    """A message as it came."""

    topic: str
    receive_ns: int
    message: bytes


class MessageRing:
    """Keeps the messages of the last seconds, and of latched topics the newest one for ever.

    Receive times may step back (the system clock was set); a message that is younger than its
    successor stays until the bytes are needed.
    """

    def __init__(self, seconds: float, max_bytes: int, latched: Collection[str] = ()) -> None:
        """Start empty.

        Args:
            seconds: How far back the ring reaches.
            max_bytes: Bytes of messages it may hold; the oldest are given up first.
            latched: Topics whose newest message is kept whatever its age.
        """
        self._reach_ns = int(seconds * _NS)
        self._max_bytes = max_bytes
        self._latched = frozenset(latched)
        self._entries: deque[Entry] = deque()
        self._newest: dict[str, Entry] = {}
        self._last_ns = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        """Return how many messages the ring holds, the kept latched ones not counted."""
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Take a message and drop what has become too old or does not fit."""
        self._last_ns = entry.receive_ns
        self._entries.append(entry)
        self.size_bytes += len(entry.message)
        while self._entries and self._entries[0].receive_ns < entry.receive_ns - self._reach_ns:
            self._drop()
        while self.size_bytes > self._max_bytes:
            self._drop()

    def pass_by(self, entry: Entry) -> None:
        """Learn of a message that is not to be kept, unless its topic is latched."""
        self._last_ns = entry.receive_ns
        self._remember(entry)

    def take(self) -> Iterator[Entry]:
        """Return everything and empty the ring, oldest first.

        Latched messages from before come first, as if received with the first of the others: a
        bag must not begin long before its time only because of them.
        """
        start_ns = self._entries[0].receive_ns if self._entries else self._last_ns
        inside = {entry.topic for entry in self._entries}
        for topic, entry in self._newest.items():
            if topic not in inside:
                yield entry._replace(receive_ns=start_ns)
        while self._entries:
            yield self._drop()

    def clear(self) -> None:
        """Forget everything but the latched messages."""
        while self._entries:
            self._drop()

    def _drop(self) -> Entry:
        entry = self._entries.popleft()
        self.size_bytes -= len(entry.message)
        self._remember(entry)
        return entry

    def _remember(self, entry: Entry) -> None:
        if entry.topic in self._latched:
            self._newest[entry.topic] = entry
