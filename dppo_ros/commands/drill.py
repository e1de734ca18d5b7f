# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros drill``: makes faults on the twin and reports what the robot did."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from pathlib import Path

_GATE = "dppo_ros.drills.gate"
_EXIT_FAILED = 3


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    from dppo_ros.drills import names

    listed = "\n".join(f"  {name:22} {about}" for name, about in names.ABOUT.items())
    drill = commands.add_parser(
        "drill",
        help="make faults on the twin and report what the robot did",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Starts the graph on the twin in a ROS domain of its own, makes one fault "
        "after the other,\nand judges every command with a monitor that shares no code with the "
        "safety gate. Nothing that\nalready runs in your ROS domain is touched. Exit code: 0 all "
        "passed, 3 not all, 2 refused.\n\nfaults:\n" + listed,
    )
    drill.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="faults from the list, 'all' for those without cameras, 'everything', or 'gate'",
    )
    drill.add_argument("--document", type=Path, metavar="FILE", help="write the table here")
    drill.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    drill.add_argument(
        "--chunks", type=int, default=1_000_000, metavar="N",
        help="for 'gate': random and adversarial chunks through the safety gate, without a graph "
        "(default: 1000000)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the drills; the exit code is 0 when all passed, else 3.

    Raises:
        ConfigError: There is no drill of a name.
    """
    if options.names == ["gate"]:
        return _gate(options)
    from dppo_ros.bench.machine import machine_facts
    from dppo_ros.bench.table import text_table, write_json
    from dppo_ros.drills.catalogue import chosen, perform
    from dppo_ros.drills.report import document, line

    drills = chosen(options.names)
    machine, outcomes = machine_facts(), []
    for outcome in perform(drills):
        outcomes.append(outcome)
        print(line(outcome), *outcome.problems, sep="\n    ", flush=True)
    rows = [outcome.row() for outcome in outcomes]
    print(f"\n{text_table(rows)}")
    if options.document:
        options.document.write_text(document(machine, outcomes))
        print(f"document written to {options.document}")
    if options.json:
        write_json(options.json, machine, {"drills": rows})
        print(f"numbers written to {options.json}")
    return 0 if all(outcome.passed for outcome in outcomes) else _EXIT_FAILED


def _gate(options: argparse.Namespace) -> int:
    return int(importlib.import_module(_GATE).run(options))
