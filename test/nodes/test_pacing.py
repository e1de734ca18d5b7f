# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The setpoint thread: whole periods between deadlines, nothing delivered twice, death is told."""

from __future__ import annotations

import threading

import numpy as np

from dppo_ros.nodes.pacing import PacedThread, raise_priority

PERIOD_NS = 2_000_000
PATIENCE_S = 30.0


def test_deadlines_are_whole_periods_apart_and_delivered_once() -> None:
    prepared: list[int] = []
    delivered: list[int] = []
    enough = threading.Event()

    def deliver(stamp_ns: int) -> None:
        delivered.append(stamp_ns)
        if len(delivered) == 50:
            enough.set()

    def prepare(stamp_ns: int) -> int | None:
        prepared.append(stamp_ns)
        return stamp_ns if len(prepared) % 5 else None  # now and then there is nothing to send

    thread = PacedThread(PERIOD_NS, PERIOD_NS, prepare, deliver, priority=0)
    thread.start()
    assert enough.wait(PATIENCE_S)
    thread.stop()
    assert thread.failure is None
    assert delivered == [s for n, s in enumerate(prepared, start=1) if n % 5][: len(delivered)]
    steps = np.diff(prepared)
    # Stamps are wall time; the wall clock and the monotonic one differ by microseconds.
    assert (steps > PERIOD_NS // 2).all()
    if thread.missed == 0:
        np.testing.assert_allclose(steps, PERIOD_NS, atol=PERIOD_NS // 4)
    assert thread.lateness_ms()[1] >= thread.lateness_ms()[0] >= 0.0
    assert "ordinary" in thread.scheduling


def test_death_of_the_thread_is_kept_for_the_node() -> None:
    died = threading.Event()

    def prepare(stamp_ns: int) -> int:
        died.set()
        raise ValueError("broken")

    thread = PacedThread(PERIOD_NS, 0, prepare, lambda work: None, priority=0)
    thread.start()
    assert died.wait(PATIENCE_S)
    thread.stop()
    assert isinstance(thread.failure, ValueError)


def test_priority_is_asked_for_and_what_was_granted_is_told() -> None:
    told: list[str] = []
    worker = threading.Thread(target=lambda: told.append(raise_priority(5)))
    worker.start()
    worker.join(PATIENCE_S)
    assert any(word in told[0] for word in ("SCHED_FIFO", "nice", "ordinary"))
