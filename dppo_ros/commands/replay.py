# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros replay``: what would a policy do with what was recorded?"""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "replay",
        help="run a policy over a recorded bag and report",
        description="Feeds the recorded observation streams to a bundle, without a ROS graph, and "
        "reports errors against what was executed, latencies, staleness and interventions. With "
        "--through-nodes the recorded observations also go through a real policy node under "
        "simulated time, and its chunks are compared with the recorded ones bit for bit.",
    )
    command.add_argument("bag", type=Path, help="folder of the bag")
    command.add_argument("--bundle", required=True, help="bundle folder, or name of a shipped one")
    command.add_argument("--seed", type=int, help="noise seed (default: the one in the bag)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots here")
    command.add_argument(
        "--through-nodes", action="store_true", help="also replay through a policy node process"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        DppoError: The bag or the bundle is not acceptable.
        EnvironmentUnavailableError: Nodes are asked for and ROS 2 is not installed.
    """
    from dppo_ros.bag.replay import replay_bag
    from dppo_ros.bag.report import summary_lines, write_html, write_json
    from dppo_ros.paths import find_bundle

    bundle = find_bundle(options.bundle)
    result = replay_bag(options.bag, bundle, seed=options.seed)
    for line in summary_lines(result):
        print(line)
    if options.json:
        write_json(result, options.json)
        print(f"numbers written to {options.json}")
    if options.html:
        write_html(result, options.html)
        print(f"page written to {options.html}")
    if options.through_nodes:
        from dppo_ros.node_replay import node_replay_lines, replay_through_nodes

        nodes = replay_through_nodes(options.bag, bundle, seed=options.seed)
        for line in node_replay_lines(nodes):
            print(line)
        return 0 if nodes.is_identical else 1
    return 0
