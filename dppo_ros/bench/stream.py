# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How evenly commands come: rate and jitter of the command stream, as sent and as received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bench.arrivals import Heard
from dppo_ros.bench.latency import command_topic
from dppo_ros.bench.measurement import Run, run_graph
from dppo_ros.bench.statistics import milliseconds
from dppo_ros.bench.table import Row

IntArray = NDArray[np.int64]
GOAL_JITTER_MS = 2.0
SENT, RECEIVED, STAMPED = "as sent", "as received", "by their stamps"


def jitter_row(name: str, times_ns: IntArray, period_ns: int) -> Row:
    """Return rate and jitter of events.

    Jitter is the distance of each interval between neighbours from the nominal one.

    Args:
        name: What the times are.
        times_ns: (n,) times of the events, ascending, nanoseconds.
        period_ns: Nominal interval (ns).
    """
    intervals = np.diff(times_ns)
    total_s = float(intervals.sum()) * 1e-9
    return {
        "times": name,
        "rate Hz": intervals.size / total_s if total_s > 0.0 else None,
        **milliseconds(np.abs(intervals - period_ns)),
        "longest gap ms": float(intervals.max()) / 1e6 if intervals.size else None,
    }


def rows(commands: Heard, period_ns: int) -> list[Row]:
    """Return the table of a stream of commands."""
    table = [
        jitter_row(SENT, commands.sent_ns, period_ns),
        jitter_row(RECEIVED, commands.received_ns, period_ns),
    ]
    if commands.count and (commands.stamps_ns > 0).all():
        table.append(jitter_row(STAMPED, commands.stamps_ns, period_ns))
    return table


def verdict(table: Sequence[Row], commands: Heard) -> str:
    """Return one line about the goal."""
    found = next(row for row in table if row["times"] == SENT)["p99.9 ms"]
    if not isinstance(found, float):
        return "no command was heard"
    return (
        f"goal p99.9 jitter <= {GOAL_JITTER_MS:g} ms as sent: "
        f"{'met' if found <= GOAL_JITTER_MS else 'missed'} ({found:.2f} ms, "
        f"{found / GOAL_JITTER_MS:.2f} of what is allowed); {commands.lost} of "
        f"{commands.count + commands.lost} commands lost on the way to the listener"
    )


def measure(
    seconds: float, arguments: Mapping[str, str], rate_hz: float
) -> tuple[list[Row], Heard, Run]:
    """Run the graph on the twin and return table, commands and the run behind them."""
    run = run_graph(seconds, (command_topic(),), (), arguments)
    commands = run.after_warm_up(command_topic())
    return rows(commands, round(1e9 / rate_hz)), commands, run
