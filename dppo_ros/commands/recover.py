# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros recover``: what an interrupted recording left -> a bag."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "recover",
        help="bring back a recording whose recorder was killed",
        description="A recorder that is killed leaves a hidden folder .NAME.partial. This writes "
        "everything in it that reached the disk as a bag.",
    )
    command.add_argument("partial", type=Path, help="the hidden folder")
    command.add_argument("--out", type=Path, required=True, help="folder of the new bag")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        BagError: There is nothing to recover, or the place is taken.
    """
    from dppo_ros.bag.recovery import recover_bag

    identity = recover_bag(options.partial, options.out)
    print(f"{sum(identity.counts.values())} messages recovered to {options.out}")
    return 0
