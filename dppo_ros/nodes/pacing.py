# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that does something at a steady rate, on absolute deadlines.

Each round prepares its work a little before the deadline and delivers it at the deadline, so that
the time the work takes does not show in the stream. The deadlines drift to where fresh orders, told
by ``arrived``, wait least for the next round. No rclpy.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from dppo_ros.nodes.phase import PhaseAligner

_Work = TypeVar("_Work")
_NICE = -10
_WINDOW = 20_000
_RESTART_NS = 100_000_000


class PacedThread:
    """Calls ``prepare`` and ``deliver`` at a steady rate until it is stopped."""

    def __init__(
        self,
        period_ns: int,
        ahead_ns: int,
        prepare: Callable[[int], _Work | None],
        deliver: Callable[[_Work], None],
        priority: int,
    ) -> None:
        """Prepare the thread; ``start`` runs it.

        Args:
            period_ns: Time between two deadlines (ns).
            ahead_ns: How long before its deadline a round begins (ns).
            prepare: Gets the deadline (ns, wall clock) and returns what to deliver, or None.
            deliver: Sends it.
            priority: SCHED_FIFO priority to ask for, 0 for none.
        """
        self._period_ns, self._ahead_ns = period_ns, min(ahead_ns, period_ns // 2)
        self._prepare, self._deliver = prepare, deliver
        self._priority = priority
        self._phase = PhaseAligner(period_ns)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lateness: deque[int] = deque(maxlen=_WINDOW)
        self.missed = 0
        self.scheduling = "not started"
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start the thread."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="setpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        self._thread = None

    def arrived(self) -> None:
        """Learn that something has come just now that the next round will take up."""
        self._phase.arrived(time.monotonic_ns())

    def lateness_ms(self) -> tuple[float, float]:
        """Return the 99.9th percentile and the largest of the last deliveries' lateness (ms)."""
        late = np.array(self._lateness, dtype=np.float64) / 1e6
        return (float(np.percentile(late, 99.9)), float(late.max())) if late.size else (0.0, 0.0)

    def _run(self) -> None:
        self.scheduling = raise_priority(self._priority)
        try:
            self._rounds()
        except BaseException as error:  # told to the node, which ends; a silent stream is worse
            self.failure = error

    def _rounds(self) -> None:
        # Deadlines lie on the monotonic clock; stamps are the wall time of the deadline.
        deadline = time.monotonic_ns() + self._period_ns
        while not self._stop.is_set():
            _sleep_until(deadline - self._ahead_ns)
            offset = time.time_ns() - time.monotonic_ns()
            work = self._prepare(deadline + offset)
            _sleep_until(deadline)
            if work is not None:
                self._deliver(work)
                self._lateness.append(time.monotonic_ns() - deadline)
            deadline += self._period_ns + self._phase.nudge_ns(deadline - self._ahead_ns)
            behind = time.monotonic_ns() - deadline
            if behind > 0:
                skipped = behind // self._period_ns + 1 if behind < _RESTART_NS else 0
                self.missed += max(int(skipped), 1)
                deadline += skipped * self._period_ns
                if not skipped:
                    deadline = time.monotonic_ns() + self._period_ns


def raise_priority(priority: int) -> str:
    """Ask the system to run the calling thread before others; return what it granted."""
    if priority > 0 and hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
            return f"SCHED_FIFO, priority {priority}"
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
            return f"nice {_NICE} (SCHED_FIFO not permitted)"
    return "ordinary (a higher priority is not permitted, or not asked for)"


def _sleep_until(deadline_ns: int) -> None:
    left_ns = deadline_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns * 1e-9)
