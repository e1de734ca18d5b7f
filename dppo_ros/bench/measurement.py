# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a graph on the twin for a while with a listener beside it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dppo_ros import messages
from dppo_ros.bench.arrivals import Heard
from dppo_ros.bench.listener import Listener
from dppo_ros.bench.running import RunningGraph, isolate
from dppo_ros.core.errors import EnvironmentUnavailableError

NEVER_ENDS = {"exit_on_end": "false", "max_episode_steps": "1000000", "log_level": "warn"}
"""Arguments under which the twin goes on after an episode, for measurements of any length."""
_STATUS = "diagnostic_msgs/msg/DiagnosticArray"
_WARM_UP_S = 3.0


@dataclass(frozen=True, eq=False)
class Run:
    """A graph that ran for a while.

    Attributes:
        heard: What the listener heard, by topic.
        lines: Output of the graph.
        seconds: How long it was listened to, warm-up excluded (s).
        begun_ns: Wall time of the beginning (ns).
    """

    heard: Mapping[str, Heard]
    lines: tuple[str, ...]
    seconds: float
    begun_ns: int

    def after_warm_up(self, topic: str) -> Heard:
        """Return the messages of a topic that were sent after the warm-up."""
        entry = self.heard[topic]
        late = entry.sent_ns >= self.begun_ns
        payloads = tuple(p for p, keep in zip(entry.payloads, late, strict=False) if keep)
        return Heard(
            entry.stamps_ns[late], entry.sent_ns[late], entry.received_ns[late],
            entry.numbers[late], payloads,
        )  # fmt: skip


def run_graph(
    seconds: float,
    topics: Sequence[str],
    keep: Sequence[str] = (),
    arguments: Mapping[str, str] | None = None,
    parameters: Mapping[str, Mapping[str, object]] | None = None,
) -> Run:
    """Bring up the graph on the twin in a ROS domain of its own and listen for some seconds.

    Args:
        seconds: How long to listen after the warm-up (s).
        topics: Topics whose times are taken.
        keep: Topics whose contents are kept too.
        arguments: Launch arguments on top of those that let the twin go on for ever.
        parameters: Parameter values by node.

    Raises:
        EnvironmentUnavailableError: The graph did not come up, or ended before its time.
    """
    isolate()
    with tempfile.TemporaryDirectory(prefix="dppo_ros_bench_") as folder:
        listener = Listener(Path(folder) / "heard.npz", topics, keep)
        with listener, RunningGraph({**NEVER_ENDS, **(arguments or {})}, parameters) as graph:
            graph.until_ready()
            time.sleep(_WARM_UP_S)
            begun_ns = time.time_ns()
            time.sleep(seconds)
            if graph.process.poll() is not None:
                raise EnvironmentUnavailableError(
                    "the graph ended while it was measured; its last words:\n  "
                    + "\n  ".join(graph.lines[-25:])
                )
            heard = listener.heard()
        return Run(heard, tuple(graph.lines), seconds, begun_ns)


def decoded(
    heard: Heard, kind: str = "diagnostic_msgs/msg/DiagnosticArray"
) -> list[dict[str, str]]:
    """Return the key-values of kept status messages, in order of arrival.

    Args:
        heard: Messages with their contents.
        kind: Their type.
    """
    from rclpy.serialization import deserialize_message

    made = messages.message_class(kind)
    return [messages.decode_status(deserialize_message(data, made))[1] for data in heard.payloads]
