# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The results of drills as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dppo_ros.bench.table import Row, markdown_table, shown
from dppo_ros.drills.outcome import Outcome

_INTRODUCTION = """# Drills

Faults made on purpose in the running graph on the twin, and what the robot did. `dppo-ros drill
--help` lists every fault. Written by
`dppo-ros drill everything gate --document docs/drills.md`.

Every command is judged by a monitor that shares no code with the safety gate: finite numbers,
joint, speed and acceleration limits of the maker, jumps between commands, distance from the
measured joints, the workspace, tool speed. *Violations* must be 0 in every row.

Times are wall milliseconds at a listener. *Hold reported*: from the first message that was lost or
spoiled, or from the signal to a process, to the command node's report of the hold, of the last one
where the robot holds until the fault is mended. *Commands at rest*: to commanded joint speeds
below 0.005 rad/s that last. *Robot at rest*: to measured joint speeds below 0.02 rad/s that last.
*Moving again*: from the end of the fault to the first report of `running`. A hold on a fault of
the policy's inputs comes no sooner than the chunk in execution ends: its actions were computed
before the fault.
"""


_GATE = """## A storm of chunks

`dppo-ros drill gate`: random, huge, malformed, late, repeated and contradictory chunks through the
real command side in simulated time; a judge compares the setpoints that come out with the limits
in the robot's file.
"""


def document(
    machine: Mapping[str, str], outcomes: Sequence[Outcome], gate: Sequence[Row] = ()
) -> str:
    """Return the document of a round of drills.

    Args:
        machine: Facts about the machine.
        outcomes: What came of the drills.
        gate: What came of the storm of chunks, empty where there was none.
    """
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    failed = [outcome for outcome in outcomes if not outcome.passed]
    passed = len(outcomes) - len(failed)
    parts = [
        _INTRODUCTION,
        f"{passed} of {len(outcomes)} drills passed, "
        f"{sum(outcome.violations for outcome in outcomes)} violations in "
        f"{sum(outcome.commands for outcome in outcomes)} commands.\n",
        markdown_table([outcome.row() for outcome in outcomes]) + "\n",
    ]
    if failed:
        lines = [f"- {outcome.drill}: {problem}" for outcome in failed
                 for problem in outcome.problems]  # fmt: skip
        parts.append("## What did not pass\n\n" + "\n".join(lines) + "\n")
    if gate:
        parts.append(f"{_GATE}\n{markdown_table(gate)}\n")
    parts.append(f"## Machine\n\n{facts}\n")
    return "\n".join(parts)


def line(outcome: Outcome) -> str:
    """Return one line for the terminal while drills are under way."""
    word = "passed" if outcome.passed else "FAILED"
    times = ", ".join(
        f"{name} {shown(value)} ms"
        for name, value in (
            ("reported", outcome.state_ms),
            ("at rest", outcome.command_rest_ms),
            ("moving again", outcome.recovered_ms),
        )
        if value == value  # not a number: not applicable
    )
    return f"{word}  {outcome.drill}: {outcome.did}" + (f" ({times})" if times else "")
