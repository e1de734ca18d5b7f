# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command node in a graph that learns the name of the node ``late`` never.

The middleware tells of a publisher before it tells of the node that has it; how long between them
is chance, so this program answers as the middleware does in that time.
"""

from __future__ import annotations

from dppo_ros.messages import RosObject
from dppo_ros.nodes.command import CommandNode
from dppo_ros.nodes.process import run


class CommandNodeAmongLateNames(CommandNode):
    """Sees the publishers of ``late`` without its name."""

    def get_publishers_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[RosObject]:
        """Return what the graph knows, the name of ``late`` taken away."""
        infos: list[RosObject] = super().get_publishers_info_by_topic(topic_name, no_mangle)
        for info in infos:
            if info.node_name == "late":
                info.node_name = "_NODE_NAME_UNKNOWN_"
                info.node_namespace = "_NODE_NAMESPACE_UNKNOWN_"
        return infos


if __name__ == "__main__":
    raise SystemExit(run(CommandNodeAmongLateNames))
