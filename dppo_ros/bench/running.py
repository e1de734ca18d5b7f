# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A graph under measurement: started in a ROS domain of its own, watched through its output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.graph import environment

_DOMAINS = range(1, 102)
"""Domains that are free of the port conflicts of higher ones."""
_READY = r"^\[up\] all nodes active"
_STARTED = r"^\[up\] node (\w+) started, process (\d+)$"
_GRACE_S = 90.0


def own_domain() -> int:
    """Return a ROS domain that is not the caller's, so that no robot hears a measurement."""
    callers = os.environ.get("ROS_DOMAIN_ID", "0")
    chosen = _DOMAINS[os.getpid() % len(_DOMAINS)]
    return chosen if str(chosen) != callers else _DOMAINS[chosen % len(_DOMAINS)]


def isolate(domain: int | None = None) -> int:
    """Put this process and its children into a ROS domain of their own, on this machine only."""
    chosen = own_domain() if domain is None else domain
    os.environ["ROS_DOMAIN_ID"] = str(chosen)
    os.environ.update(environment())
    return chosen


class RunningGraph:
    """The nodes of a graph as processes below a supervisor, in the caller's ROS domain."""

    def __init__(
        self,
        arguments: Mapping[str, str],
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        remappings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Start the processes.

        Args:
            arguments: Launch arguments as text.
            parameters: Parameter values that launch does not offer, by node and name.
            remappings: New topic names, by node and name.
        """
        from dppo_ros.supervisor import child_environment

        self.lines: list[str] = []
        self._news = threading.Condition()
        self._silent = False
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "dppo_ros.bench.graph_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env=child_environment(), start_new_session=True,
        )  # fmt: skip
        given = {
            "arguments": dict(arguments),
            "parameters": {node: dict(values) for node, values in (parameters or {}).items()},
            "remappings": {node: dict(names) for node, names in (remappings or {}).items()},
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> RunningGraph:
        """Return this graph."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process."""
        self.stop()

    def until_ready(self, timeout_s: float = 90.0) -> None:
        """Wait until every node is active.

        Raises:
            EnvironmentUnavailableError: The graph did not come up; the end of its output is told.
        """
        self.until(_READY, timeout_s)

    def until(self, pattern: str, timeout_s: float, count: int = 1) -> re.Match[str]:
        """Wait for so many lines that match and return the last of these matches.

        Raises:
            EnvironmentUnavailableError: They did not come in time, or the graph ended before.
        """
        with self._news:
            self._news.wait_for(lambda: self.count(pattern) >= count or self._silent, timeout_s)
        matches = [match for line in self.lines if (match := re.search(pattern, line))]
        if len(matches) < count:
            raise EnvironmentUnavailableError(
                f"the graph did not say {pattern!r} {count} times within {timeout_s:g} s; its last "
                "words:\n  " + "\n  ".join(self.lines[-25:])
            )
        return matches[count - 1]

    def count(self, pattern: str) -> int:
        """Return how many lines match so far."""
        return sum(re.search(pattern, line) is not None for line in list(self.lines))

    def processes(self) -> dict[str, int]:
        """Return the newest process number of every node."""
        found = (re.search(_STARTED, line) for line in list(self.lines))
        return {match[1]: int(match[2]) for match in found if match}

    def starts(self) -> int:
        """Return how many node processes were ever started."""
        return self.count(_STARTED)

    def kill(self, node: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process of a node."""
        os.kill(self.processes()[node], number)

    def stop(self) -> int:
        """End every process and return the exit code of the supervisor."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            for pid in self.processes().values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.kill()
            code = self.process.wait()
        self._reader.join(5.0)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()
        with self._news:
            self._silent = True
            self._news.notify_all()
