# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tells when two ends of a topic disagree on quality of service, so that no message passes.

The middleware only logs a warning, and a subscriber that gets nothing looks like one that has
nothing to get. Here it is an error in the log, with topic, policy and what to change, and a
mismatch in the node's diagnostics for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.qos import QoSCompatibility, qos_check_compatible, qos_policy_name_from_kind

from dppo_ros.messages import RosObject

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # its name in Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

if TYPE_CHECKING:
    from rclpy.node import Node

PUBLISHER, SUBSCRIPTION = "publisher", "subscription"
_TEXTS = {
    PUBLISHER: "topic {topic}: a subscriber demands a {policy} that this node's publisher does not "
    "offer, and gets no message",
    SUBSCRIPTION: "topic {topic}: a publisher offers less {policy} than this node's subscription "
    "demands; its messages do not arrive",
}


class QosWatch:
    """Remembers which topics of a node are not understood by the other side."""

    def __init__(self, node: Node) -> None:
        """Start without complaints.

        Args:
            node: Whose topics these are.
        """
        self._node = node
        self._suspects: dict[tuple[str, str], str] = {}

    def of_publisher(self, topic: str) -> RosObject:
        """Return the event callbacks for a publisher of this topic."""
        return PublisherEventCallbacks(incompatible_qos=self._on_event(PUBLISHER, topic))

    def of_subscription(self, topic: str) -> RosObject:
        """Return the event callbacks for a subscription of this topic."""
        return SubscriptionEventCallbacks(incompatible_qos=self._on_event(SUBSCRIPTION, topic))

    def mismatches(self) -> list[str]:
        """Return the topics and policies that do not fit now; what was put right is gone."""
        for role, topic in list(self._suspects):
            if not self._still_wrong(role, topic):
                del self._suspects[(role, topic)]
        return [f"{topic}: {policy}" for (_, topic), policy in self._suspects.items()]

    def _on_event(self, role: str, topic: str) -> Callable[[RosObject], None]:
        def complain(event: RosObject) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
            self._suspects[(role, topic)] = policy
            name = self._node.resolve_topic_name(topic)
            self._node.get_logger().error(
                f"{_TEXTS[role].format(topic=name, policy=policy)}; set the parameter "
                f"qos_overrides.{name}.{role}.{policy} of this node, or the quality of the other"
            )

        return complain

    def _still_wrong(self, role: str, topic: str) -> bool:
        """Return whether any present pair of the two ends cannot talk."""
        name = self._node.resolve_topic_name(topic)
        publishers = self._node.get_publishers_info_by_topic(name)
        subscriptions = self._node.get_subscriptions_info_by_topic(name)
        mine, others = publishers, subscriptions
        if role == SUBSCRIPTION:
            mine, others = subscriptions, publishers
        own = [end for end in mine if end.node_name == self._node.get_name()]
        pairs = [(end, other) for end in own for other in others]
        if role == SUBSCRIPTION:
            pairs = [(other, end) for end, other in pairs]
        return any(
            qos_check_compatible(publisher.qos_profile, subscription.qos_profile)[0]
            == QoSCompatibility.ERROR
            for publisher, subscription in pairs
        )
