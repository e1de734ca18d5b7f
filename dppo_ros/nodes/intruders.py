# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who else publishes on a topic that only one node may publish on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode


def foreign_publishers(node: ManagedNode, topic: str, allowed: int) -> list[str]:
    """Return the names of all publishing nodes when there are more than allowed, else nothing.

    Nodes count by their full name: after a crash the dead node's publisher stays known for some
    seconds beside that of its successor, and both bear one name.

    Args:
        node: Who asks.
        topic: Relative topic name, remapped as the node's own.
        allowed: How many nodes may publish.
    """
    infos = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    names = {f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos}
    return sorted(names) if len(names) > allowed else []
