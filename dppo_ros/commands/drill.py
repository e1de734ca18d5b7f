# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros drill``: makes faults on the twin and reports what the robot did."""

from __future__ import annotations

import argparse
from pathlib import Path

from dppo_ros.bench.table import Cell, Row

_EXIT_FAILED = 3
_GATE = "gate"


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
    from dppo_ros.bench.machine import machine_facts
    from dppo_ros.bench.table import text_table, write_json
    from dppo_ros.drills.catalogue import chosen, perform
    from dppo_ros.drills.report import document, line

    drills = chosen([name for name in options.names if name != _GATE])
    machine, outcomes = machine_facts(), []
    for outcome in perform(drills):
        outcomes.append(outcome)
        print(line(outcome), *outcome.problems, sep="\n    ", flush=True)
    rows = [outcome.row() for outcome in outcomes]
    gate_rows, violations = _gate(options.chunks) if _GATE in options.names else ([], 0)
    for table in filter(None, (rows, gate_rows)):
        print(f"\n{text_table(table)}")
    if options.document:
        options.document.write_text(document(machine, outcomes, gate_rows))
        print(f"document written to {options.document}")
    if options.json:
        write_json(options.json, machine, {"drills": rows, "gate": gate_rows})
        print(f"numbers written to {options.json}")
    return 0 if not violations and all(o.passed for o in outcomes) else _EXIT_FAILED


def _gate(chunks: int) -> tuple[list[Row], int]:
    """Return what came of a storm of chunks, and how many setpoints broke a limit."""
    from dppo_ros.drills.gate import storm

    report = storm(chunks)
    print(*report.violations, sep="\n", end="\n" if report.violations else "")
    counted: dict[str, Cell] = {
        "chunks": report.chunks,
        "cycles": report.cycles,
        "setpoints sent": report.setpoints,
        "violations": report.violation_count,
        **{f"largest share of {name}": share for name, share in sorted(report.largest.items())},
        **{f"fault: {reason}": count for reason, count in sorted(report.faults.items())},
        **{f"chunks {kind}": count for kind, count in sorted(report.kinds.items())},
    }
    rows: list[Row] = [{"what": name, "value": value} for name, value in counted.items()]
    return rows, report.violation_count
