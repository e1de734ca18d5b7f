# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Percentiles, rates and counters against hand-worked numbers."""

from __future__ import annotations

import pytest

from dppo_ros.core.diagnostics import EventCounts, LatencySummary, LatencyWindow, RateMonitor
from dppo_ros.core.errors import ConfigError

MS = 1_000_000


def test_latency_percentiles_look_at_the_window_and_maximum_at_everything() -> None:
    window = LatencyWindow(capacity=100)
    assert window.summary() == LatencySummary(0, 0.0, 0.0, 0.0)
    window.add_ns(900 * MS)
    for duration in range(1, 101):
        window.add_ns(duration * MS)
    summary = window.summary()
    assert summary.count == 101
    assert summary.median_ms == pytest.approx(50.5)
    assert summary.p99_ms == pytest.approx(99.01)
    assert summary.maximum_ms == 900.0
    window.reset()
    assert window.summary().count == 0


def test_negative_duration_counts_as_zero() -> None:
    window = LatencyWindow()
    window.add_ns(-5)
    assert window.summary() == LatencySummary(1, 0.0, 0.0, 0.0)


def test_rate_jitter_and_age() -> None:
    monitor = RateMonitor(window=4)
    assert monitor.rate_hz == 0.0 and monitor.jitter_s == 0.0 and monitor.age_s(5) is None
    for tick in (0, 100, 200, 300, 400):
        monitor.tick(tick * MS)
    assert monitor.rate_hz == pytest.approx(10.0)
    assert monitor.jitter_s == 0.0
    assert monitor.age_s(450 * MS) == pytest.approx(0.05)
    monitor.tick(550 * MS)
    assert monitor.jitter_s == pytest.approx(0.05, rel=0.05)
    assert monitor.count == 6


def test_clock_reset_starts_the_rate_anew() -> None:
    monitor = RateMonitor()
    for tick in (1000, 1100, 0, 50):
        monitor.tick(tick * MS)
    assert monitor.rate_hz == pytest.approx(20.0)
    monitor.reset()
    assert monitor.rate_hz == 0.0 and monitor.count == 0


def test_simultaneous_events_have_no_rate() -> None:
    monitor = RateMonitor()
    monitor.tick(0)
    monitor.tick(0)
    assert monitor.rate_hz == 0.0


@pytest.mark.parametrize("kind", [LatencyWindow, RateMonitor])
def test_empty_window_is_refused(kind: type[LatencyWindow] | type[RateMonitor]) -> None:
    with pytest.raises(ConfigError, match="capacity is 0"):
        kind(0)


def test_counters_list_known_names_from_the_start() -> None:
    counts = EventCounts("sent", "dropped")
    counts.add("sent", 2)
    counts.add("odd")
    assert counts.as_dict() == {"sent": 2, "dropped": 0, "odd": 1}
    assert counts["never"] == 0
    counts.reset()
    assert counts.as_dict() == {"sent": 0, "dropped": 0}
