# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros evaluate``: several bundles judged over many bags, without moving an arm."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "evaluate",
        help="compare bundles offline over recorded bags",
        description="Asks every bundle at every control tick of every bag and compares the answers "
        "with what was executed: errors by component, phase and step of the chunk, observations "
        "outside of the training data, latencies, what the safety gate would do, success of the "
        "recorded episodes, and paired comparisons.",
    )
    command.add_argument(
        "--bags", type=Path, nargs="+", required=True, metavar="BAG", help="folders of bags"
    )
    command.add_argument(
        "--bundles", nargs="+", required=True, metavar="BUNDLE",
        help="bundle folders, or names of shipped ones",
    )  # fmt: skip
    command.add_argument("--seed", type=int, help="noise seed (default: not that of the bags)")
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots here")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        DppoError: A bag or a bundle is not acceptable.
    """
    from dppo_ros.bag.evaluation import DEFAULT_SEED, evaluate
    from dppo_ros.bag.evaluation_numbers import summary_lines
    from dppo_ros.paths import find_bundle

    evaluation = evaluate(
        options.bags,
        [find_bundle(name) for name in options.bundles],
        DEFAULT_SEED if options.seed is None else options.seed,
        print,
    )
    for line in summary_lines(evaluation):
        print(line)
    if options.html or options.json:
        from dppo_ros.bag.evaluation_page import write_numbers, write_page

        if options.json:
            write_numbers(evaluation, options.json)
            print(f"numbers written to {options.json}")
        if options.html:
            write_page(evaluation, options.html)
            print(f"page written to {options.html}")
    return 0
