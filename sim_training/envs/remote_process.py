# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One worker process as its trainer sees it: start, handshake, calls with a time limit, end.

The protocol is described in `sim_training.remote_worker`. Nothing here knows about tasks; every
failure of the worker comes out as a `WorkerFailure`, after which the process is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dppo_ros.core.errors import SimulatorError
from sim_training import remote_worker
from sim_training.remote_worker.blocks import map_arrays
from sim_training.remote_worker.channel import Channel, ChannelClosed, ChannelTimeout

logger = logging.getLogger(__name__)

_OUTPUT_LINES = 200
_SHOWN_LINES = 12
_CLOSE_S = 5.0
_TERMINATE_S = 2.0
_HIDDEN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")
"""Of the trainer's interpreter; they would mix its packages into the worker's."""


class WorkerFailure(Exception):
    """The worker is of no use any more and has been killed.

    Attributes:
        kind: how it failed: "start" includes every refusal of the handshake, "error" is an
            exception inside the simulator.
    """

    def __init__(self, kind: Literal["start", "died", "hung", "error"], message: str) -> None:
        """Describe what happened, for people."""
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class WorkerOrder:
    """What to start.

    Attributes:
        python: interpreter that has the simulator.
        adapter: name in `remote_worker.adapters.ADAPTERS`.
        settings: JSON values for its `make`.
        n_envs: environments in this process.
        chunk_steps: most control steps in one call.
        start_timeout_s: how long the simulator may take to start.
    """

    python: Path
    adapter: str
    settings: Mapping[str, Any]
    n_envs: int
    chunk_steps: int = 1
    start_timeout_s: float = 180.0


class WorkerProcess:
    """A running worker.

    Attributes:
        arrays: shared with the worker, by name.
        description: what the worker says about its simulator.
        versions: "python" and "numpy" of the worker, as text.
    """

    def __init__(self, order: WorkerOrder) -> None:
        """Start the process and shake hands.

        Raises:
            WorkerFailure: it did not start in time, speaks another protocol, or the simulator
                could not be made; the message says why.
        """
        self._order = order
        self._output: deque[str] = deque(maxlen=_OUTPUT_LINES)
        ours, theirs = socket.socketpair()
        memory = os.memfd_create(f"dppo-worker-{order.adapter}")
        try:
            self._process = self._spawn(theirs.fileno(), memory)
            self._ended = weakref.finalize(self, _kill, self._process)
            theirs.close()
            self._channel = Channel(ours)
            self._reader = threading.Thread(
                target=_read_output, args=(self._process, self._output), daemon=True
            )
            self._reader.start()
            self._shake_hands(memory)
        finally:
            theirs.close()
            os.close(memory)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def post(self, call: str, **params: Any) -> None:  # noqa: ANN401  (JSON values)
        """Ask for something; `answer` must follow.

        Raises:
            WorkerFailure: the worker is gone.
        """
        try:
            self._channel.send({"call": call, "params": params})
        except ChannelClosed as error:
            raise self._dead() from error

    def answer(self, timeout_s: float) -> dict[str, Any]:
        """Return what the call that was posted returned.

        Raises:
            WorkerFailure: the worker died, does not answer in time, or its simulator raised.
        """
        message = self._receive(timeout_s, "hung", f"no answer within {timeout_s:g} s")
        if "error" in message:
            self.kill()
            raise WorkerFailure("error", _told(message["error"]))
        value: dict[str, Any] = message["value"]
        return value

    def kill(self) -> None:
        """End the process, and what it started, at once."""
        self._ended()
        self._channel.close()

    def close(self) -> int:
        """Ask the worker to end, then make it; returns its exit code (0 when it did as asked)."""
        if not self._ended.alive:
            return self._process.wait()
        try:
            self._channel.send({"call": "close"})
            self._channel.receive(_CLOSE_S)
            self._process.wait(_CLOSE_S)
        except (ChannelClosed, ChannelTimeout, subprocess.TimeoutExpired):
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERMINATE_S)
        self.kill()
        return self._process.wait()

    def _spawn(self, socket_fd: int, memory_fd: int) -> subprocess.Popen[str]:
        order = self._order
        script = Path(remote_worker.__file__).with_name("__main__.py")
        environment = {k: v for k, v in os.environ.items() if k not in _HIDDEN_VARIABLES}
        environment.setdefault("OMP_NUM_THREADS", "1")
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        numbers = [str(number) for number in (socket_fd, memory_fd, os.getpid())]
        try:
            return subprocess.Popen(
                [str(order.python), "-u", str(script), *numbers],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(socket_fd, memory_fd),
                env=environment,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerFailure("start", f"cannot run {order.python}: {error.strerror}") from error

    def _shake_hands(self, memory_fd: int) -> None:
        order, limit = self._order, self._order.start_timeout_s
        late = f"not ready within {limit:g} s"
        greeting = self._receive(limit, "start", late)
        expected = remote_worker.PROTOCOL_VERSION
        if greeting.get("protocol") != expected:
            self.kill()
            raise WorkerFailure(
                "start",
                f"{order.python} runs a worker of protocol {greeting.get('protocol')!r} but this "
                f"trainer speaks {expected}; install the same version of this project for both",
            )
        self.versions = {"python": str(greeting["python"]), "numpy": str(greeting["numpy"])}
        hello = {
            "protocol": expected,
            "adapter": order.adapter,
            "settings": dict(order.settings),
            "n_envs": order.n_envs,
            "chunk_steps": order.chunk_steps,
        }
        try:
            self._channel.send(hello)
        except ChannelClosed as error:
            raise self._dead() from error
        ready = self._receive(limit, "start", late)
        if "error" in ready:
            self.kill()
            raise WorkerFailure("start", _told(ready["error"]))
        self.description: dict[str, Any] = ready["description"]
        self.arrays: dict[str, np.ndarray] = map_arrays(memory_fd, ready["layout"], create=False)

    def _receive(
        self, timeout_s: float, kind: Literal["start", "hung"], late: str
    ) -> dict[str, Any]:
        try:
            return self._channel.receive(timeout_s)
        except ChannelClosed as error:
            raise self._dead() from error
        except ChannelTimeout as error:
            self.kill()
            raise WorkerFailure(kind, late + self._last_lines()) from error

    def _dead(self) -> WorkerFailure:
        """Describe the end of a process that hung up."""
        try:
            code = self._process.wait(_TERMINATE_S)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        if code is None:
            how = "hung up without ending"
        elif code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        return WorkerFailure("died", how + self._last_lines())

    def _last_lines(self) -> str:
        self._reader.join(_TERMINATE_S)
        lines = [line for line in self._output if line.strip()][-_SHOWN_LINES:]
        return "; its last output:\n  " + "\n  ".join(lines) if lines else "; it printed nothing"


def start_error(failure: WorkerFailure, order: WorkerOrder) -> SimulatorError:
    """Return what to raise when a worker could not even start."""
    return SimulatorError(f"the {order.adapter} simulator of {order.python}: {failure}")


def _told(error: Mapping[str, Any]) -> str:
    lines = "\n  ".join(error["traceback"])
    return f"{error['type']}: {error['message']}; in the worker:\n  {lines}"


def _read_output(process: subprocess.Popen[str], output: deque[str]) -> None:
    """Keep what a worker prints, so that it never waits for a reader."""
    assert process.stdout is not None
    with contextlib.suppress(ValueError, OSError):
        for line in process.stdout:
            output.append(line.rstrip())
            logger.debug("worker %d: %s", process.pid, line.rstrip())


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a worker with everything in its session; also runs when the trainer exits."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
