# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros bench``: measures the running graph on this machine."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from dppo_ros.bench import closed_loop
from dppo_ros.bench.machine import machine_facts
from dppo_ros.bench.options import add_bundle_option
from dppo_ros.bench.table import Row, text_table, write_json
from dppo_ros.core.errors import ConfigError

_LEAST_SECONDS = 2.0
_OTHERS = ("perception", "execution")
"""Subcommands that live beside what they measure: modules of ``dppo_ros.bench``."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    bench = commands.add_parser(
        "bench",
        help="measure latency, command stream and endurance on this machine",
        description="Starts the graph on the twin in a ROS domain of its own, listens from "
        "outside, and prints a table with the goals. Nothing that already runs in your ROS domain "
        "is touched. Settings of the launch may be added: dppo-ros bench latency execution:=async.",
    )
    parts = bench.add_subparsers(dest="part", required=True)
    _add_latency(parts)
    _add_stream(parts)
    _add_soak(parts)
    _add_document(parts)
    closed_loop.add(parts)
    for name in _OTHERS:
        if importlib.util.find_spec(f"dppo_ros.bench.{name}") is not None:
            importlib.import_module(f"dppo_ros.bench.{name}").add(parts)


def _add_latency(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    latency = parts.add_parser(
        "latency",
        help="from the stamp of an observation to the command that it caused, hop by hop",
        description="Follows every action chunk from the stamp of its observation to the first "
        "command that it caused. Times are those at which the middleware of each node took its "
        "message, read by a process that only listens. 'policy node' includes the way of the "
        "observation to it and the inference; 'command node' the way of the chunk. The last row "
        "adds the way of the command to a listener. A policy that executes 8 actions of 0.1 s for "
        "each query gives 75 chunks a minute: take minutes for a p99 that means something.",
    )
    _add_common(latency, 60.0)
    latency.add_argument(
        "--execute-steps", type=int, default=0, metavar="N",
        help="actions between two queries (default: as the bundle says); fewer give more chunks",
    )  # fmt: skip


def _add_stream(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    stream = parts.add_parser(
        "stream",
        help="rate and jitter of the command stream",
        description="Jitter is the distance of each interval between two commands from the "
        "nominal one. 'as sent' are the times at which the middleware of the command node took "
        "the command, 'as received' those at which a listener's got it, 'by their stamps' what "
        "the node wrote into them.",
    )
    _add_common(stream, 60.0)
    stream.add_argument(
        "--rate", type=float, default=200.0, metavar="HZ", help="nominal rate (default: 200)"
    )


def _add_soak(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    soak = parts.add_parser(
        "soak",
        help="the whole graph for a long time: memory, missed chunks, unsafe commands",
        description="Runs episode after episode with new start states. A missed chunk is a beat "
        "of the policy without a chunk. Commands are judged by a monitor that shares no code with "
        "the safety gate: limits of the arm, jumps, numbers that are not finite, the workspace. "
        "Memory growth is that of the line that fits the samples after a fifth of the time "
        "(at most five minutes), in which processes may settle.",
    )
    soak.add_argument(
        "--minutes", type=float, default=30.0, metavar="MIN", help="how long (default: 30)"
    )
    _add_output(soak)


def _add_document(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    document = parts.add_parser(
        "document",
        help="put numbers written with --json into one document",
        description="Reads latency.json, stream.json and soak.json, those that are there. What "
        "the present document says under the heading Notes stays.",
    )
    document.add_argument("folder", type=Path, help="where the JSON files are")
    document.add_argument(
        "--output", type=Path, default=Path("docs/bench.md"), metavar="FILE",
        help="the document (default: docs/bench.md)",
    )  # fmt: skip


def _add_common(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument(
        "--seconds", type=float, default=seconds, metavar="S",
        help=f"listen this long after a warm-up (default: {seconds:g})",
    )  # fmt: skip
    _add_output(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    add_bundle_option(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")


def run(options: argparse.Namespace) -> int:
    """Run the part that was asked for; the exit code is 0 whether or not goals are met.

    Raises:
        ConfigError: A number is out of range.
        EnvironmentUnavailableError: The graph did not run.
    """
    if options.part in _OTHERS:
        return int(importlib.import_module(f"dppo_ros.bench.{options.part}").run(options))
    parts = {
        "latency": _latency,
        "stream": _stream,
        "soak": _soak,
        "document": _document,
        "closed-loop": closed_loop.run,
    }
    return parts[options.part](options)


def _latency(options: argparse.Namespace) -> int:
    from dppo_ros.bench import latency

    _check_length(options.seconds)
    machine = machine_facts()
    rows, _ = latency.measure(options.seconds, _arguments(options), options.execute_steps)
    _report(options, machine, {"latency": rows}, latency.verdict(rows))
    return 0


def _stream(options: argparse.Namespace) -> int:
    from dppo_ros.bench import stream

    _check_length(options.seconds)
    machine = machine_facts()
    rows, commands, _ = stream.measure(options.seconds, _arguments(options), options.rate)
    _report(options, machine, {"stream": rows}, stream.verdict(rows, commands))
    return 0


def _soak(options: argparse.Namespace) -> int:
    from dppo_ros.bench import soak

    _check_length(options.minutes * 60.0)
    machine = machine_facts()

    def tell(line: str) -> None:
        print(line, flush=True)

    done, stage, graph = soak.run_soak(options.minutes, _arguments(options), tell)
    counted, memory = soak.counters(done, stage, graph), soak.memory_rows(done)
    for example in stage.monitor.examples:
        print(f"unsafe: {example}")
    _report(
        options, machine, {"counters": counted, "memory": memory}, soak.verdict(counted, memory)
    )
    return 0


def _document(options: argparse.Namespace) -> int:
    from dppo_ros.bench.document import document, read_parts, with_notes_of

    text = document(read_parts(options.folder))
    options.output.write_text(with_notes_of(text, options.output))
    print(f"document written to {options.output}")
    return 0


def _arguments(options: argparse.Namespace) -> dict[str, str]:
    return {"bundle": options.bundle, **options.settings}


def _check_length(seconds: float) -> None:
    if not seconds >= _LEAST_SECONDS:
        raise ConfigError(
            f"a measurement of {seconds:g} s is too short; take {_LEAST_SECONDS:g} s or more"
        )


def _report(
    options: argparse.Namespace,
    machine: Mapping[str, str],
    tables: Mapping[str, Sequence[Row]],
    verdict: str,
) -> None:
    print(text_table([{"machine": name, "": value} for name, value in machine.items()]))
    for rows in tables.values():
        print(f"\n{text_table(rows)}")
    print(f"\n{verdict}")
    if options.json:
        length = {name: getattr(options, name, None) for name in ("seconds", "minutes")}
        given = [f"--{name} {value:g}" for name, value in length.items() if value is not None]
        command = " ".join(["dppo-ros bench", options.part, *given])
        write_json(options.json, machine, {**tables, "verdict": verdict, "command": command})
        print(f"numbers written to {options.json}")
