# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Latency percentiles, message rates and event counts, for ``/diagnostics`` and for reports.

Times are integer nanoseconds of whatever clock the caller uses; nothing here reads a clock.
Each object has one writer; readers in other threads see values that are at most one event old.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError

_NS_PER_S = 1e9
_NS_PER_MS = 1e6


class _Ring:
    """The newest ``capacity`` integers of a stream."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ConfigError(f"window capacity is {capacity}; it must be at least 1")
        self._values = np.zeros(capacity, dtype=np.int64)
        self.total = 0

    def add(self, value: int) -> None:
        self._values[self.total % self._values.size] = value
        self.total += 1

    def clear(self) -> None:
        self.total = 0

    def newest(self) -> NDArray[np.int64]:
        return self._values[: min(self.total, self._values.size)].copy()


@dataclass(frozen=True)
class LatencySummary:
    """Statistics of durations.

    Attributes:
        count: How many durations were recorded since the last reset.
        median_ms: Median over the window, milliseconds; 0 when empty.
        p99_ms: 99th percentile over the window, milliseconds; 0 when empty.
        maximum_ms: Largest duration since the last reset, milliseconds; 0 when empty.
    """

    count: int
    median_ms: float
    p99_ms: float
    maximum_ms: float


class LatencyWindow:
    """Percentiles over the newest durations, and the largest one of all."""

    def __init__(self, capacity: int = 1000) -> None:
        """Start empty.

        Args:
            capacity: How many of the newest durations the percentiles look at.

        Raises:
            ConfigError: The capacity is below one.
        """
        self._ring = _Ring(capacity)
        self._maximum_ns = 0

    def add_ns(self, duration_ns: int) -> None:
        """Record one duration in nanoseconds; a negative one (clock step) counts as zero."""
        duration_ns = max(int(duration_ns), 0)
        self._ring.add(duration_ns)
        self._maximum_ns = max(self._maximum_ns, duration_ns)

    def reset(self) -> None:
        """Forget everything."""
        self._ring.clear()
        self._maximum_ns = 0

    @property
    def count(self) -> int:
        """Return how many durations were recorded since the last reset."""
        return self._ring.total

    def summary(self) -> LatencySummary:
        """Return count, median, 99th percentile and maximum."""
        durations = self._ring.newest()
        if not durations.size:
            return LatencySummary(0, 0.0, 0.0, 0.0)
        median, p99 = np.percentile(durations, (50.0, 99.0)) / _NS_PER_MS
        return LatencySummary(self.count, float(median), float(p99), self._maximum_ns / _NS_PER_MS)


class RateMonitor:
    """Rate, jitter and age of a stream of events such as the messages of one topic."""

    def __init__(self, window: int = 100) -> None:
        """Start without events.

        Args:
            window: How many of the newest intervals rate and jitter look at.

        Raises:
            ConfigError: The window is below one.
        """
        self._intervals_ns = _Ring(window)
        self._last_ns: int | None = None
        self.count = 0

    def tick(self, now_ns: int) -> None:
        """Record an event; a step back in time (simulation reset) starts the window anew."""
        if self._last_ns is not None:
            if now_ns >= self._last_ns:
                self._intervals_ns.add(now_ns - self._last_ns)
            else:
                self._intervals_ns.clear()
        self._last_ns = now_ns
        self.count += 1

    def reset(self) -> None:
        """Forget every event."""
        self._intervals_ns.clear()
        self._last_ns = None
        self.count = 0

    @property
    def rate_hz(self) -> float:
        """Return events per second over the window; 0 with fewer than two events."""
        intervals = self._intervals_ns.newest()
        total_ns = int(intervals.sum())
        return intervals.size * _NS_PER_S / total_ns if total_ns > 0 else 0.0

    @property
    def jitter_s(self) -> float:
        """Return the 99th percentile of |interval - median interval|, seconds."""
        intervals = self._intervals_ns.newest()
        if not intervals.size:
            return 0.0
        deviations = np.abs(intervals - np.median(intervals))
        return float(np.percentile(deviations, 99.0) / _NS_PER_S)

    def age_s(self, now_ns: int) -> float | None:
        """Return the seconds since the newest event, or None when there was none."""
        return None if self._last_ns is None else (now_ns - self._last_ns) / _NS_PER_S


class EventCounts:
    """Named counters that start with every known name at zero."""

    def __init__(self, *names: str) -> None:
        """Start every named counter at zero, so that reports list it before it first happens."""
        self._names = names
        self._counts: Counter[str] = Counter(dict.fromkeys(names, 0))

    def add(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        self._counts[name] += amount

    def reset(self) -> None:
        """Set every counter to zero."""
        self._counts = Counter(dict.fromkeys(self._names, 0))

    def __getitem__(self, name: str) -> int:
        """Return one counter; zero for a name that never occurred."""
        return self._counts[name]

    def as_dict(self) -> Mapping[str, int]:
        """Return a copy of all counters."""
        return dict(self._counts)
