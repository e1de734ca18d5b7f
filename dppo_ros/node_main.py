# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Console script `dppo-ros-node`: starts one node of the graph by the name of its executable.

The start scripts in `lib/dppo_ros` end here, so that they contain neither an interpreter path nor
a module name.
"""

from __future__ import annotations

import importlib
import sys

from dppo_ros.core.errors import DppoError, unknown_name_message
from dppo_ros.graph import NODES


def main() -> int:
    """Runs the node the first argument names, with the other arguments; returns its exit code."""
    modules = {node.executable: node.module for node in NODES}
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in modules:
        print(unknown_name_message("node executable", name, modules), file=sys.stderr)
        return 2
    # The node reads sys.argv like any program: as if it had been started under its own name.
    sys.argv = [name, *sys.argv[2:]]
    try:
        return int(importlib.import_module(modules[name]).main() or 0)
    except DppoError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
