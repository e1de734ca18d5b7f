# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Listens to topics of a graph in a process of its own and writes down when messages came.

Messages are taken serialised, so that listening costs next to nothing: only stamps are looked at.
``python -m dppo_ros.bench.listener FILE TOPIC[=keep]...`` writes FILE on SIGTERM.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from dppo_ros import messages, qos
from dppo_ros.bench.arrivals import Collector, Heard, header_stamp_ns, load, save
from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.topics import topic

_DEPTH = 2000
_KEEP = "=keep"
_SPIN_S = 0.2
_READY = "listening"


class Listener:
    """A listener process, for the length of a ``with`` block."""

    def __init__(self, file: Path, topics: Sequence[str], keep: Sequence[str] = ()) -> None:
        """Start listening.

        Args:
            file: Where the process writes what it heard.
            topics: Names of topics of the graph.
            keep: Those whose contents are kept as well.

        Raises:
            EnvironmentUnavailableError: The process did not start.
        """
        from dppo_ros.supervisor import child_environment

        self._file = file
        names = [*topics, *(f"{name}{_KEEP}" for name in keep)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dppo_ros.bench.listener", str(file), *names],
            stdout=subprocess.PIPE, text=True, env=child_environment(), start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != _READY:
            self._process.kill()
            raise EnvironmentUnavailableError("the listener process did not start; see above")

    def __enter__(self) -> Listener:
        """Return this listener."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """Stop listening; the file is complete afterwards."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(60.0)

    def heard(self) -> dict[str, Heard]:
        """Return what was heard, by topic; stops listening first.

        Raises:
            BagError: The process was killed before it could write.
        """
        self.close()
        return load(self._file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Listen until SIGTERM or SIGINT, then write the file."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import try_shutdown

    file, *names = list(sys.argv[1:] if arguments is None else arguments)
    stop: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("bench_listener", start_parameter_services=False)
    collectors: dict[str, Collector] = {}
    for given in names:
        name, keep = given.removesuffix(_KEEP), given.endswith(_KEEP)
        entry = topic(name)
        collectors[name] = Collector(keep)
        node.create_subscription(
            messages.message_class(entry.type), entry.name, partial(_take, collectors[name]),
            qos.profile(entry.quality, depth=_DEPTH), raw=True,
        )  # fmt: skip
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    print(_READY, flush=True)
    while not stop:
        executor.spin_once(timeout_sec=_SPIN_S)
    save(Path(file), {name: collector.heard() for name, collector in collectors.items()})
    executor.shutdown()
    node.destroy_node()
    try_shutdown()
    return 0


def _take(collector: Collector, payload: bytes, info: dict[str, Any]) -> None:
    collector.add(
        header_stamp_ns(payload),
        info["source_timestamp"],
        info["received_timestamp"],
        info["publication_sequence_number"],
        payload,
    )


if __name__ == "__main__":
    raise SystemExit(main())
