# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs one node in this process: one executor, signals, exit codes.

Signals are handled here and not by rclpy: rclpy would close the context first, and a node that
must still send a hold goal or finish a bag could no longer do so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from dppo_ros.core.errors import DppoError
from dppo_ros.nodes.base import ManagedNode

SUPERVISOR_VARIABLE = "DPPO_ROS_SUPERVISOR"
"""Process number of the supervisor that started a node; without it the node ends itself."""

_SPIN_S = 0.1


def run(create: Callable[[], ManagedNode], arguments: Sequence[str] | None = None) -> int:
    """Run a node in this process until a signal or the node itself ends it.

    Args:
        create: Makes the node, after rclpy is initialised.
        arguments: Command line, by default that of the process.

    Returns:
        The exit code: that of the node, 0 after a signal, 2 when the node could not be made.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    rclpy.init(
        args=list(arguments) if arguments is not None else None,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    node: ManagedNode | None = None
    try:
        node = create()
        return _spin(node, stop)
    except DppoError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        try_shutdown()


def _spin(node: ManagedNode, stop: threading.Event) -> int:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set() and node.exit_code is None and not _is_orphan():
            _spin_once(node, executor)
        _shut_down(node, executor)
    except ExternalShutdownException:
        pass
    finally:
        executor.shutdown()
    return node.exit_code or 0


def _is_orphan() -> bool:
    """Return whether the supervisor that started this process is gone, as after kill -9."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE, "")
    return supervisor.isdecimal() and os.getppid() != int(supervisor)


def _shut_down(node: ManagedNode, executor: SingleThreadedExecutor) -> None:
    """Take the node through its shutdown transition, then let the last messages leave."""
    with contextlib.suppress(rclpy_implementation.RCLError):  # finalised already
        node.trigger_shutdown()
    deadline = time.monotonic() + _SPIN_S
    while time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.01)


def _spin_once(node: ManagedNode, executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin_once(timeout_sec=_SPIN_S)
    except rclpy_implementation.RCLError as error:  # a transition that is not possible now
        node.get_logger().error(f"request refused: {error}")
