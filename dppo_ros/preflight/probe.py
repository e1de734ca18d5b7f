# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collects facts about a running system; the only module of the preflight that imports rclpy.

It listens with whatever quality the publishers offer, so that a message is heard even where the
real reader would not hear it: whether the pair fits is judged from what both declare.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown

from dppo_ros import messages, topics
from dppo_ros.core.errors import ConfigError
from dppo_ros.messages import RosObject
from dppo_ros.preflight.snapshot import Endpoint, Sample, Snapshot, TopicFacts

NODE_NAME = f"preflight_{os.getpid()}"
_KEEP = 3000
_DISCOVERY_S = 1.5
_ANSWER_S = 3.0
_SPIN_S = 0.02
_MAX_DEADLINE_NS = 10**17
"""Middlewares report no deadline as a very long one."""

PARAMETERS = {
    "command": ("bundle",),
    "policy": ("bundle",),
    "observation": ("bundle",),
}


class Probe:
    """A node that looks at the graph and listens to its topics for a while."""

    def __init__(self, namespace: str = "") -> None:
        """Join the graph.

        Args:
            namespace: Namespace in which the nodes of this package run.
        """
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node(
            NODE_NAME, namespace=namespace or None, context=self._context,
            start_parameter_services=False,
        )  # fmt: skip
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._samples: dict[str, deque[Sample]] = {}
        self._clock_ns: int | None = None

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        try_shutdown(context=self._context)

    def wait_for(self, names: Sequence[str], seconds: float) -> list[str]:
        """Spin until every topic has a publisher; return those that still have none."""
        start = time.monotonic()

        def missing() -> list[str]:
            return [name for name in names if not self._node.count_publishers(name)]

        while time.monotonic() < start + _DISCOVERY_S or (
            missing() and time.monotonic() < start + seconds
        ):
            self._executor.spin_once(timeout_sec=_SPIN_S)
        return missing()

    def look(self, seconds: float, nodes: Sequence[str], others: Sequence[str] = ()) -> Snapshot:
        """Listen to every topic of the graph for a while and return what was seen.

        Args:
            seconds: How long to listen (wall).
            nodes: Names of the lifecycle nodes to ask for their state.
            others: Topics outside the graph whose publishers and readers are of interest.
        """
        present = self._present_nodes()
        self._listen()
        asked = [name for name in nodes if name in present]
        states = self._ask_states(asked)
        begun = time.monotonic()
        self._samples = {name: deque(maxlen=queue.maxlen) for name, queue in self._samples.items()}
        self._keep_latched()
        self._spin(lambda: time.monotonic() >= begun + seconds, seconds + 1.0)
        parameters = self._ask_parameters(asked)
        names = (*(entry.name for entry in topics.TOPICS), *others)
        facts = {name: self._facts(name) for name in names if name}
        return Snapshot(
            topics=facts, nodes=frozenset(present), states=states, parameters=parameters,
            now_ns=self._now_ns(), simulated=self._clock_ns is not None,
            seconds=time.monotonic() - begun,
        )  # fmt: skip

    def _now_ns(self) -> int:
        return time.time_ns() if self._clock_ns is None else self._clock_ns

    def _present_nodes(self) -> set[str]:
        inside = self._node.get_namespace()
        pairs = self._node.get_node_names_and_namespaces()
        return {name for name, namespace in pairs if namespace == inside and name != NODE_NAME}

    def _listen(self) -> None:
        """Subscribe to every topic that somebody publishes, with the quality that is offered."""
        for entry in topics.TOPICS:
            offers = self._ends(self._node.get_publishers_info_by_topic, entry.name)
            if not offers or entry.name in self._samples:
                continue
            self._samples[entry.name] = deque(maxlen=_KEEP)
            if {offer.type for offer in offers} != {entry.type}:
                continue  # cannot be read as what it should be; its type is judged elsewhere
            try:
                kind = messages.message_class(entry.type)
            except ConfigError:
                continue
            self._node.create_subscription(
                kind, entry.name, partial(self._on_message, entry.name), _matching(offers)
            )

    def _keep_latched(self) -> None:
        """Subscribe anew to latched topics: what they hold counts as seen."""
        for subscription in list(self._node.subscriptions):
            profile = subscription.qos_profile
            if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
                kind, name = subscription.msg_type, subscription.topic_name
                callback = subscription.callback
                self._node.destroy_subscription(subscription)
                self._node.create_subscription(kind, name, callback, profile)

    def _on_message(self, name: str, message: RosObject) -> None:
        if name == "clock":
            self._clock_ns = messages.stamp_to_ns(message.clock)
        header = getattr(message, "header", None)
        stamp_ns = None if header is None else messages.stamp_to_ns(header.stamp)
        frame = "" if header is None else header.frame_id
        kept = None if hasattr(message, "step") else message  # pictures are large
        self._samples[name].append(Sample(self._now_ns(), stamp_ns, frame, kept))

    def _facts(self, name: str) -> TopicFacts:
        return TopicFacts(
            self._ends(self._node.get_publishers_info_by_topic, name),
            self._ends(self._node.get_subscriptions_info_by_topic, name),
            tuple(self._samples.get(name, ())),
        )

    def _ends(self, ask: Callable[[str], Sequence[RosObject]], name: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a topic, without our own."""
        full = self._node.resolve_topic_name(name)
        found = []
        for info in ask(full):
            if info.node_name == NODE_NAME:
                continue
            quality, space = info.qos_profile, info.node_namespace.rstrip("/")
            deadline_ns = int(quality.deadline.nanoseconds)
            found.append(
                Endpoint(
                    f"{space}/{info.node_name}",
                    info.topic_type,
                    quality.reliability == ReliabilityPolicy.RELIABLE,
                    quality.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                    deadline_ns if 0 < deadline_ns < _MAX_DEADLINE_NS else None,
                )
            )
        return tuple(sorted(found, key=lambda end: end.node))

    def _ask_states(self, nodes: Sequence[str]) -> dict[str, str]:
        kind = messages.message_class("lifecycle_msgs/srv/GetState")
        answers = self._ask(kind, {name: (f"{name}/get_state", kind.Request()) for name in nodes})
        return {name: answer.current_state.label for name, answer in answers.items()}

    def _ask_parameters(self, nodes: Sequence[str]) -> dict[str, dict[str, object]]:
        kind = messages.message_class("rcl_interfaces/srv/GetParameters")
        questions = {
            name: (f"{name}/get_parameters", kind.Request(names=list(PARAMETERS[name])))
            for name in nodes
            if name in PARAMETERS
        }
        return {
            name: {
                key: value.string_value
                for key, value in zip(PARAMETERS[name], answer.values, strict=False)
            }
            for name, answer in self._ask(kind, questions).items()
        }

    def _ask(
        self, kind: RosObject, questions: dict[str, tuple[str, RosObject]]
    ) -> dict[str, RosObject]:
        """Return the answers that came in time, by the key of the question."""
        clients = {
            key: self._node.create_client(kind, name) for key, (name, _) in questions.items()
        }
        self._spin(lambda: all(c.service_is_ready() for c in clients.values()), _ANSWER_S)
        futures = {
            key: client.call_async(questions[key][1])
            for key, client in clients.items()
            if client.service_is_ready()
        }
        self._spin(lambda: all(future.done() for future in futures.values()), _ANSWER_S)
        for client in clients.values():
            self._node.destroy_client(client)
        return {key: future.result() for key, future in futures.items() if future.done()}

    def _spin(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=_SPIN_S)


def _matching(offers: Sequence[Endpoint]) -> QoSProfile:
    """Return a profile that every one of the publishers can serve."""
    reliable = all(offer.reliable for offer in offers)
    latched = all(offer.latched for offer in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=100,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
