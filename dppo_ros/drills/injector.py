# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stands between two nodes on a topic: passes messages on, or drops, delays, repeats, spoils them.

The node under test listens to another name by remapping; the injector listens to the true name
and repeats every message under the other one. Serialised messages pass through untouched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from rclpy.node import Node
from rclpy.serialization import deserialize_message

from dppo_ros import messages, qos
from dppo_ros.messages import RosObject
from dppo_ros.topics import topic

Change = Callable[[RosObject], Sequence[tuple[float, RosObject]]]
"""Turns a message into those to send instead, each with a delay (s)."""
_DEPTH = 100


def relayed(name: str) -> str:
    """Return the name under which a topic is repeated."""
    return f"drill/{name}"


def remappings(names: Sequence[str]) -> dict[str, str]:
    """Return what to remap in a node so that it listens to repeated topics."""
    absolute = {"clock"}  # rclpy's time source asks for /clock, whatever the namespace
    return {
        f"/{name}" if name in absolute else name: f"/{relayed(name)}"
        if name in absolute
        else relayed(name)
        for name in names
    }


class Relay:
    """Repeats one topic under another name; ``change`` decides what becomes of a message.

    Attributes:
        changed_ns: When the first message was touched since the present change was set (wall).
    """

    def __init__(self, node: Node, name: str, quality: str | None = None) -> None:
        """Start passing messages on.

        Args:
            node: Node that listens and repeats.
            name: Topic of the graph.
            quality: Another quality of service for what is repeated.
        """
        entry = topic(name)
        self._kind = messages.message_class(entry.type)
        self._publisher = node.create_publisher(
            self._kind, relayed(name), qos.profile(quality or entry.quality, _DEPTH)
        )
        self._subscription = node.create_subscription(
            self._kind, name, self._take, qos.profile(entry.quality, _DEPTH), raw=True
        )
        self._change: Change | None = None
        self.changed_ns: int | None = None

    @property
    def change(self) -> Change | None:
        """Return what becomes of messages, None when they pass untouched."""
        return self._change

    @change.setter
    def change(self, change: Change | None) -> None:
        """Decide what becomes of messages from now on."""
        self.changed_ns = None
        self._change = change

    def send(self, message: RosObject) -> None:
        """Publish a message of our own under the repeated name."""
        self._publisher.publish(message)

    def _take(self, payload: bytes) -> None:
        change = self._change
        if change is None:
            self._publisher.publish(payload)
            return
        if self.changed_ns is None:
            self.changed_ns = time.time_ns()
        for delay_s, message in change(deserialize_message(payload, self._kind)):
            if delay_s <= 0.0:
                self._publisher.publish(message)
            else:
                threading.Timer(delay_s, self._publisher.publish, (message,)).start()


def drop(message: RosObject) -> Sequence[tuple[float, RosObject]]:
    """Lose every message."""
    return ()


def duplicate(message: RosObject) -> Sequence[tuple[float, RosObject]]:
    """Send every message three times."""
    return ((0.0, message),) * 3


def late(delay_s: float) -> Change:
    """Return a change that delays every message (s)."""
    return lambda message: ((delay_s, message),)


def shift_stamps(by_s: float) -> Change:
    """Return a change that moves every stamp, as a clock that was set does (s)."""
    by_ns = messages.seconds_to_ns(by_s)

    def change(message: RosObject) -> Sequence[tuple[float, RosObject]]:
        stamp_ns = messages.stamp_to_ns(message.header.stamp) + by_ns
        message.header.stamp = messages.ns_to_stamp(max(stamp_ns, 0))
        return ((0.0, message),)

    return change


def shift_clock(by_s: float) -> Change:
    """Return a change that moves the simulated clock (s)."""
    by_ns = messages.seconds_to_ns(by_s)

    def change(message: RosObject) -> Sequence[tuple[float, RosObject]]:
        now_ns = messages.stamp_to_ns(message.clock) + by_ns
        message.clock = messages.ns_to_stamp(max(now_ns, 0))
        return ((0.0, message),)

    return change


class OutOfOrder:
    """A change that swaps every two neighbours."""

    def __init__(self) -> None:
        """Start without a message in hand."""
        self._held: RosObject = None

    def __call__(self, message: RosObject) -> Sequence[tuple[float, RosObject]]:
        """Keep the first of two, then send the second before the first."""
        if self._held is None:
            self._held = message
            return ()
        held, self._held = self._held, None
        return ((0.0, message), (0.0, held))


class Frozen:
    """A change that repeats the contents of the first message under the stamps of all others."""

    def __init__(self) -> None:
        """Start without contents."""
        self._first: RosObject = None

    def __call__(self, message: RosObject) -> Sequence[tuple[float, RosObject]]:
        """Put the stamp of the message on the contents of the first."""
        if self._first is None:
            self._first = message
        self._first.header.stamp = message.header.stamp
        return ((0.0, self._first),)


def spoil_numbers(value: float) -> Change:
    """Return a change that overwrites one number of a pose or of joint values."""

    def change(message: RosObject) -> Sequence[tuple[float, RosObject]]:
        if hasattr(message, "pose"):
            message.pose.position.y = value
        elif hasattr(message, "points"):
            for point in message.points:
                point.positions[1] = value
        else:
            message.position[2] = value
        return ((0.0, message),)

    return change
