# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the nodes of a graph in a process of its own, ``python -m`` with a description on stdin.

The description is one line of JSON: launch arguments, parameters that override them node by node,
and names that are remapped node by node. When the pipe closes, because whoever wrote it is gone,
the graph ends too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from dppo_ros import graph
from dppo_ros.core.errors import ConfigError, DppoError, unknown_name_message
from dppo_ros.parameters.model import check_values


def adjusted_plan(
    arguments: Mapping[str, str],
    parameters: Mapping[str, Mapping[str, object]],
    remappings: Mapping[str, Mapping[str, str]],
) -> graph.Plan:
    """Return the plan for these arguments with changes that launch does not offer.

    Args:
        arguments: Launch arguments as text.
        parameters: Parameter values by node and name.
        remappings: New topic names by node and name.

    Raises:
        ConfigError: An unknown node, argument or parameter, or a bad value.
    """
    plan = graph.plan(arguments)
    names = [launch.node.name for launch in plan.nodes]
    for name in (*parameters, *remappings):
        if name not in names:
            raise ConfigError(unknown_name_message("node of this graph", name, names))
    nodes = []
    for launch in plan.nodes:
        name = launch.node.name
        changes = check_values(launch.node.parameters, parameters.get(name, {}), f"node {name}")
        nodes.append(
            dataclasses.replace(
                launch,
                parameters={**launch.parameters, **changes},
                remappings=tuple(remappings.get(name, {}).items()),
            )
        )
    return dataclasses.replace(plan, nodes=tuple(nodes))


def main() -> int:
    """Run the graph that standard input describes and return the exit code of the supervisor."""
    given: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        plan = adjusted_plan(given["arguments"], given["parameters"], given["remappings"])
    except DppoError as error:
        print(f"[up] {error}", flush=True)
        return 2
    from dppo_ros.supervisor import Supervisor

    threading.Thread(target=_end_with_parent, daemon=True).start()
    return Supervisor(plan, lambda source, line: print(f"[{source}] {line}", flush=True)).run()


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main())
