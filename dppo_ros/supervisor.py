# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the nodes of a plan as processes, brings them up, watches them, takes them down.

The substitute for ``ros2 launch`` where only pip is available. Everything that it starts comes
from ``graph.plan``, the order of transitions from ``bringup.BringUp``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from dppo_ros.bringup import GOALS, BringUp, Request
from dppo_ros.graph import NodeLaunch, Plan
from dppo_ros.nodes.process import SUPERVISOR_VARIABLE
from dppo_ros.shared_memory import removal_line, remove_abandoned
from dppo_ros.transitions import Transitions

EXIT_OK, EXIT_DEFECT, EXIT_REFUSED, EXIT_NOT_ASSEMBLED = 0, 1, 2, 3
_OUTCOMES = {EXIT_OK: "assembled", EXIT_NOT_ASSEMBLED: "not assembled in time"}
_START_TIMEOUT_S = 60.0
_POLL_S = 0.05


class NodeProcess:
    """One node process and the thread that repeats its output."""

    def __init__(self, launch: NodeLaunch, folder: Path, echo: Callable[[str, str], None]) -> None:
        """Start the process.

        Args:
            launch: What to start.
            folder: Where its parameter file is written.
            echo: Receives node name and line of output.
        """
        self.launch = launch
        self.name = launch.node.name
        self._echo = echo
        overrides = folder / f"{self.name}.yaml"
        overrides.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(launch.parameters)}}))
        self.process = subprocess.Popen(
            command_line(launch, overrides),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C reaches us alone; we decide the order
            env={**child_environment(), SUPERVISOR_VARIABLE: str(os.getpid())},
        )
        self._reader = threading.Thread(target=self._repeat, daemon=True)
        self._reader.start()

    def stop(self) -> int:
        """End the process, politely first, and return its exit code."""
        grace_s = self.launch.node.grace_s
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            if number is signal.SIGKILL:
                self._echo("up", f"node {self.name} does not end; killing it")
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_s)
        self._reader.join(1.0)
        return self.process.wait()

    def _repeat(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._echo(self.name, line.rstrip())


def command_line(launch: NodeLaunch, overrides: Path) -> list[str]:
    """Return the command that starts a node with its parameter files."""
    names = [("__node", launch.node.name), *launch.remappings]
    return [
        sys.executable, "-u", "-m", launch.node.module, "--ros-args",
        *(word for old, new in names for word in ("-r", f"{old}:={new}")),
        *(word for file in (*launch.files, overrides) for word in ("--params-file", str(file))),
        "--log-level", f"{launch.node.name}:={launch.log_level}",
    ]  # fmt: skip


def child_environment() -> dict[str, str]:
    """Return the environment of a node: ours, with this package importable."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


class Supervisor:
    """Runs a plan until the episode ends, a node fails or a signal comes."""

    def __init__(self, plan: Plan, echo: Callable[[str, str], None]) -> None:
        """Prepare; ``run`` does the work.

        Args:
            plan: What to run.
            echo: Receives a source (node name or ``up``) and one line of text. Where that cannot
                be written any more (OSError), the run ends in order, as after a signal.
        """
        self._plan = plan
        self._sink = echo
        self._bringup = BringUp([launch.node.name for launch in plan.nodes])
        self._processes: dict[str, NodeProcess] = {}
        self._restarts: dict[str, int] = {}
        self._signal = 0
        self._deadline = 0.0
        self._exit_code: int | None = None

    def run(self) -> int:
        """Return the exit code: 0 assembled, 3 not assembled, 2 refused, 1 failed, 128 + signal.

        A closed output counts as SIGPIPE.
        """
        for name, value in self._plan.environment.items():
            os.environ.setdefault(name, value)
        if left_behind := removal_line(*remove_abandoned()):
            self._echo("up", left_behind)
        previous = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("dppo_ros_up", start_parameter_services=False)
        self._transitions = Transitions(self._node)
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        try:
            with tempfile.TemporaryDirectory(prefix="dppo_ros_") as folder:
                self._folder = Path(folder)
                try:
                    self._start_all()
                    while self._exit_code is None and not self._signal:
                        executor.spin_once(timeout_sec=_POLL_S)
                        self._step()
                finally:
                    self._stop_all()
        finally:
            executor.shutdown()
            self._node.destroy_node()
            try_shutdown()
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self._signal:
            return 128 + self._signal
        return EXIT_DEFECT if self._exit_code is None else self._exit_code

    def _echo(self, source: str, line: str) -> None:
        # Raising here would end the thread that empties a node's pipe, and the node would wait
        # for ever at whatever line fills the pipe.
        try:
            self._sink(source, line)
        except OSError:  # nobody reads any more, no space left, the terminal is gone
            self._signal = self._signal or signal.SIGPIPE
        except ValueError:  # a line that the output cannot encode, or an output that was closed
            pass

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _start_all(self) -> None:
        self._begun = time.monotonic()
        for launch in self._plan.nodes:
            self._start(launch)

    def _start(self, launch: NodeLaunch) -> None:
        name = launch.node.name
        process = NodeProcess(launch, self._folder, self._echo)
        self._processes[name] = process
        self._echo("up", f"node {name} started, process {process.process.pid}")
        self._transitions.forget(name)
        self._ask(self._bringup.started(name))

    def _ask(self, requests: list[Request]) -> None:
        for request in requests:
            self._transitions.ask(request)
        self._deadline = time.monotonic() + _START_TIMEOUT_S

    def _step(self) -> None:
        """Look after processes and transitions once."""
        for process in list(self._processes.values()):
            if process.process.poll() is not None:
                self._on_exit(process)
        if self._exit_code is not None:
            return
        for request, success in self._transitions.poll():
            self._on_answer(request, success)
        if self._transitions.waiting and time.monotonic() > self._deadline:
            late = ", ".join(sorted({request.node for request in self._transitions.waiting}))
            self._end(EXIT_DEFECT, f"no answer from {late} within {_START_TIMEOUT_S:g} s")

    def _on_answer(self, request: Request, success: bool) -> None:
        if not success:
            self._end(
                EXIT_REFUSED,
                f"node {request.node} refused to {request.transition}; its reason is above",
            )
            return
        self._ask(self._bringup.reached(request.node, GOALS[request.transition]))
        if self._bringup.ready:
            self._echo("up", f"all nodes active after {time.monotonic() - self._begun:.1f} s")

    def _on_exit(self, process: NodeProcess) -> None:
        name, code = process.name, process.process.returncode
        spec = process.launch.node
        process.stop()
        if spec.ends_run and code in (EXIT_OK, EXIT_NOT_ASSEMBLED) and self._bringup.ready:
            over = f"episode over: {_OUTCOMES[code]}" if name == "sim" else f"node {name} is done"
            self._end(code, over)
            return
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        count = self._restarts.get(name, 0)
        if self._bringup.ready and count < spec.restarts:
            self._restarts[name] = count + 1
            self._echo("up", f"node {name} died ({how}); restart {count + 1} of {spec.restarts}")
            self._start(process.launch)
            return
        self._end(
            EXIT_REFUSED if code == EXIT_REFUSED else EXIT_DEFECT,
            f"node {name} ended unexpectedly ({how}); its output is above",
        )

    def _end(self, exit_code: int, reason: str) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            self._echo("up", reason)

    def _stop_all(self) -> None:
        """End the processes in reverse activation order, so that the recorder sees the last."""
        for launch in reversed(self._plan.nodes):
            process = self._processes.get(launch.node.name)
            if process is not None:
                process.stop()
