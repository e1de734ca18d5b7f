# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the stamp of an observation to the first command that it caused, hop by hop.

All times are those of the senders' middleware on the wall clock of one machine, taken by a
process that only listens; the share of inference is what the policy node says about itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bench.arrivals import Heard
from dppo_ros.bench.measurement import Run, decoded, run_graph
from dppo_ros.bench.statistics import milliseconds
from dppo_ros.bench.table import Row
from dppo_ros.topics import TOPICS, TRACKED

IntArray = NDArray[np.int64]
SAMPLES = ("joint_states", *(f"{source}/{part}/pose" for source in ("truth", "parts")
                             for part in TRACKED))  # fmt: skip
ASSEMBLED, CHUNK = "policy/observation", "policy/chunk"
COMMANDS = ("joint_command", "target_pose")
STATUSES = ("policy/status", "command/status")
TOTAL = "observation stamp to command"
GOAL_MEDIAN_MS, GOAL_P99_MS = 8.0, 20.0


@dataclass(frozen=True, eq=False)
class Chain:
    """One row for each chunk that led to a command; wall times (n,), nanoseconds.

    Attributes:
        stamped: Stamp of the observation; where the graph follows a simulated clock, the time at
            which the first sample of that stamp was sent.
        observed: The last sample of that stamp was sent.
        assembled: The observation vector was sent.
        predicted: The chunk was sent.
        commanded: The first command of the chunk was sent.
        seen: That command reached the listener.
    """

    stamped: IntArray
    observed: IntArray
    assembled: IntArray
    predicted: IntArray
    commanded: IntArray
    seen: IntArray


def command_topic() -> str:
    """Return the topic on which this graph commands the robot."""
    names = [entry.name for entry in TOPICS]
    return next(name for name in COMMANDS if name in names)


def first_command(
    statuses: Sequence[Mapping[str, str]], sent_ns: IntArray, commands: Heard
) -> dict[int, int]:
    """Return the index of the first command of every chunk, by the stamp of the chunk.

    The command node says in its status which command was the first of an action
    (``command_stamp_ns``; for tool goals the control tick, which is their stamp). Where it only
    names the action, the first command sent after that status is taken, which is late by one
    command period at most.

    Args:
        statuses: Key-values of ``command/status`` in order.
        sent_ns: (n,) when these were sent.
        commands: The commands.
    """
    found: dict[int, int] = {}
    key = "command_stamp_ns" if command_topic() == COMMANDS[0] else "goal_stamp_ns"
    for values, when_ns in zip(statuses, sent_ns.tolist(), strict=True):
        if not values.get("chunk_stamp_ns", "").isdecimal():
            continue
        chunk, named = int(values["chunk_stamp_ns"]), values.get(key, "")
        if chunk in found or values.get("sent", "action") != "action":
            continue
        index = (
            int(np.searchsorted(commands.stamps_ns, int(named)))
            if named.isdecimal()
            else int(np.searchsorted(commands.sent_ns, when_ns))
        )
        if index < commands.count:
            found[chunk] = index
    return found


def chain(
    samples: Sequence[Heard],
    assembled: Heard,
    chunks: Heard,
    commands: Heard,
    first: Mapping[int, int],
) -> Chain:
    """Return the times of every chunk that can be followed from observation to command.

    Args:
        samples: Messages of every topic that observations are made of.
        assembled: Observation vectors.
        chunks: Chunks.
        commands: Commands.
        first: Index of the first command of a chunk, by the stamp of the chunk.
    """
    begun: dict[int, int] = {}
    complete: dict[int, int] = {}
    for heard in samples:
        for stamp, sent in zip(heard.stamps_ns.tolist(), heard.sent_ns.tolist(), strict=True):
            begun[stamp] = min(sent, begun.get(stamp, sent))
            complete[stamp] = max(sent, complete.get(stamp, sent))
    sent_vector = dict(zip(assembled.stamps_ns.tolist(), assembled.sent_ns.tolist(), strict=True))
    rows = []
    for stamp, predicted in zip(chunks.stamps_ns.tolist(), chunks.sent_ns.tolist(), strict=True):
        if stamp not in begun or stamp not in sent_vector or stamp not in first:
            continue
        index = first[stamp]
        # A stamp hours away from now is simulated time: the sending is the best that is known.
        real = abs(begun[stamp] - stamp) < 3_600_000_000_000
        rows.append((
            stamp if real else begun[stamp], complete[stamp], sent_vector[stamp],
            predicted, int(commands.sent_ns[index]), int(commands.received_ns[index]),
        ))  # fmt: skip
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    return Chain(*(table[:, index] for index in range(6)))


def rows(times: Chain, inference_ns: IntArray) -> list[Row]:
    """Return one row for each hop and one for the whole way."""
    hops = {
        "all samples sent (twin, cameras, tags)": times.observed - times.stamped,
        "observation node": times.assembled - times.observed,
        "policy node": times.predicted - times.assembled,
        "  of it inference": inference_ns,
        "command node": times.commanded - times.predicted,
        TOTAL: times.commanded - times.stamped,
        "the same, seen by a listener": times.seen - times.stamped,
    }
    return [{"hop": name, **milliseconds(values)} for name, values in hops.items()]


def verdict(table: Sequence[Row]) -> str:
    """Return one line about the goals."""
    total = next(row for row in table if row["hop"] == TOTAL)
    median, p99 = total["median ms"], total["p99 ms"]
    if not isinstance(median, float) or not isinstance(p99, float):
        return "no chunk could be followed to a command"
    met = median <= GOAL_MEDIAN_MS and p99 <= GOAL_P99_MS
    return (
        f"goal median <= {GOAL_MEDIAN_MS:g} ms and p99 <= {GOAL_P99_MS:g} ms: "
        f"{'met' if met else 'missed'} ({median:.2f} ms, {p99:.2f} ms; "
        f"{median / GOAL_MEDIAN_MS:.2f} and {p99 / GOAL_P99_MS:.2f} of what is allowed)"
    )


def evaluate(run: Run) -> list[Row]:
    """Return the table of a run."""
    commands = run.after_warm_up(command_topic())
    status = run.after_warm_up("command/status")
    first = first_command(decoded(status), status.sent_ns, commands)
    samples = [run.after_warm_up(name) for name in SAMPLES]
    times = chain(samples, run.after_warm_up(ASSEMBLED), run.after_warm_up(CHUNK), commands, first)
    told = (values.get("latency_ms") for values in decoded(run.after_warm_up("policy/status")))
    inference = np.array([round(float(text) * 1e6) for text in told if text], dtype=np.int64)
    return rows(times, inference)


def measure(
    seconds: float, arguments: Mapping[str, str], execute_steps: int
) -> tuple[list[Row], Run]:
    """Run the graph on the twin and return the table with the run behind it."""
    names = (*SAMPLES, ASSEMBLED, CHUNK, command_topic())
    parameters = {"policy": {"execute_steps": execute_steps}} if execute_steps else {}
    run = run_graph(seconds, names, STATUSES, arguments, parameters)
    return evaluate(run), run
