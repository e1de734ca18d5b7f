# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who else publishes on a topic that only one node may publish on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode

# What rmw_dds_common answers for an endpoint whose node has not been heard of yet.
_NAMELESS = "_NODE_NAME_UNKNOWN_"


@dataclass(frozen=True)
class Rivals:
    """More publishing nodes than a topic may have.

    Attributes:
        names: Every publishing node, with its namespace.
        certain: False while a publisher whose name is not known yet decides: it may be the
            successor of a node that died, whose publisher stays known for some seconds.
    """

    names: tuple[str, ...]
    certain: bool

    def __str__(self) -> str:
        """Return the names, for a reason."""
        return ", ".join(self.names)


def judge_publishers(nodes: Iterable[tuple[str, str]], allowed: int) -> Rivals | None:
    """Return the publishing nodes when they are, or may be, more than allowed.

    Nodes count by their full name: after a crash the dead node's publisher stays known for some
    seconds beside that of its successor, and both bear one name.

    Args:
        nodes: Namespace and name of the node of each publisher.
        allowed: How many nodes may publish.
    """
    known: set[str] = set()
    nameless = 0
    for namespace, name in nodes:
        if name == _NAMELESS:
            nameless += 1
        else:
            known.add(f"{namespace.rstrip('/')}/{name}")
    if len(known) + nameless <= allowed:
        return None
    names = (*sorted(known), *["a node whose name is not known yet"] * nameless)
    return Rivals(names, certain=len(known) > allowed)


def find_rivals(node: ManagedNode, topic: str, allowed: int) -> Rivals | None:
    """Return who publishes on a topic when that are, or may be, more nodes than allowed.

    Args:
        node: Who asks.
        topic: Relative topic name, remapped as the node's own.
        allowed: How many nodes may publish.
    """
    infos = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    return judge_publishers(((info.node_namespace, info.node_name) for info in infos), allowed)
