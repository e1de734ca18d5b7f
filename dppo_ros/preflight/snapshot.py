# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Facts about a running system, as collected by ``probe`` and judged by the other modules.

Pure Python: no rclpy. Times are integer nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dppo_ros.messages import RosObject


@dataclass(frozen=True)
class Endpoint:
    """One publisher or subscription of a topic.

    Attributes:
        node: Full name of the node it belongs to.
        type: Message type.
        reliable: Lost packets are sent again.
        latched: Late readers receive the last messages (transient local).
        deadline_ns: Promised or demanded interval between messages; None for none.
    """

    node: str
    type: str
    reliable: bool
    latched: bool
    deadline_ns: int | None = None


@dataclass(frozen=True)
class Sample:
    """One received message.

    Attributes:
        received_ns: Clock of the system (simulated where that is in use) on arrival.
        stamp_ns: Stamp of the header; None for a message without one.
        frame: frame_id of the header.
        message: The message; None for a picture, whose pixels nobody asks for.
    """

    received_ns: int
    stamp_ns: int | None
    frame: str
    message: RosObject


@dataclass
class TopicFacts:
    """What is known about one topic.

    Attributes:
        publishers: Who publishes it.
        subscribers: Who listens to it, without the preflight itself.
        samples: The newest messages, oldest first.
    """

    publishers: Sequence[Endpoint] = ()
    subscribers: Sequence[Endpoint] = ()
    samples: Sequence[Sample] = ()


@dataclass
class Snapshot:
    """What was seen of a system in a few seconds.

    Attributes:
        topics: Facts by relative topic name; every topic that was asked for is there.
        nodes: Names of the nodes that are there, without the preflight itself.
        states: Lifecycle states by node name, of the nodes that answered.
        parameters: Parameters of running nodes by node name, of those that answered.
        now_ns: Clock of the system at the end.
        simulated: Whether the system follows ``/clock``.
        seconds: How long was looked (wall).
    """

    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()
    states: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    now_ns: int = 0
    simulated: bool = False
    seconds: float = 0.0

    def facts(self, name: str) -> TopicFacts:
        """Return what is known about a topic, nothing for one that nobody asked for."""
        return self.topics.get(name, TopicFacts())
