# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges one topic from the messages that arrive: rate, jitter, staleness, stamps, lost messages.

Every node that listens to a stream feeds one monitor per topic and reports its verdict; the
camera node feeds one with what it sends. Times are integer nanoseconds of whatever clock the
caller uses; nothing here reads a clock. Memory is fixed when the monitor is made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ConfigError

Level: TypeAlias = Literal["ok", "warn", "error", "stale"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "error", "stale")
"""Verdicts from best to worst."""

_NS_PER_S = 1e9
_CLOCK_STEP_NS = 1_000_000_000
"""A stamp this much older than the newest is a clock that was set back, not a late message."""

_SETTLED = 5
"""Messages that must have come, or should have, before rate, jitter and loss are judged."""


@dataclass(frozen=True)
class TopicLimits:
    """What a healthy topic looks like; a zero switches the check off.

    Attributes:
        rate_hz: Expected rate; 0 for topics that come when they come.
        at_least: More than the expected rate is fine.
        max_age_s: Silence after which the topic is stale.
        max_jitter_s: Largest 99th percentile of |interval - median interval|.
        max_latency_s: Largest 99th percentile of the time from stamp to receipt.
        warn_loss: Share of lost messages that is worth a warning.
        error_loss: Share of lost messages that is an error.
        window_s: How far back the verdict looks; at least twenty expected periods are used.
    """

    rate_hz: float = 0.0
    at_least: bool = False
    max_age_s: float = 0.5
    max_jitter_s: float = 0.0
    max_latency_s: float = 0.0
    warn_loss: float = 0.05
    error_loss: float = 0.5
    window_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse numbers that no topic can meet.

        Raises:
            ConfigError: A negative number, no window, or thresholds in the wrong order.
        """
        numbers = (self.rate_hz, self.max_age_s, self.max_jitter_s, self.max_latency_s)
        if not all(0.0 <= number < float("inf") for number in numbers) or not self.window_s > 0:
            raise ConfigError(f"topic limits {self} must be finite, not negative, window_s > 0")
        if not 0.0 < self.warn_loss <= self.error_loss <= 1.0:
            raise ConfigError(
                f"loss limits {self.warn_loss:g} (warn) and {self.error_loss:g} (error) must lie "
                "in (0, 1], the first not above the second"
            )


@dataclass(frozen=True)
class TopicReport:
    """The verdict on a topic at one time.

    Attributes:
        level: ``ok``, ``warn``, ``error`` or ``stale``.
        reason: Why, as one line for people; ``"as expected"`` when all is well.
        rate_hz: Messages per second over the window, falling while nothing comes.
        jitter_s: 99th percentile of |interval - median interval| over the window.
        age_s: Time since the newest message, None before the first.
        latency_s: 99th percentile of receipt minus stamp, None when messages carry no stamp.
        loss: Share of messages lost in the window, by gaps in the stamps.
        counts: Events since the start: ``received``, ``missing``, ``duplicates``, ``backwards``,
            ``clock_steps``.
    """

    level: Level
    reason: str
    rate_hz: float
    jitter_s: float
    age_s: float | None
    latency_s: float | None
    loss: float
    counts: dict[str, int]

    def values(self) -> dict[str, object]:
        """Return the key-values of a diagnostic status; times in milliseconds."""
        shown: dict[str, object] = {
            "rate_hz": round(self.rate_hz, 3),
            "jitter_p99_ms": round(self.jitter_s * 1e3, 3),
            "age_ms": "never" if self.age_s is None else round(self.age_s * 1e3, 1),
        }
        if self.latency_s is not None:
            shown["latency_p99_ms"] = round(self.latency_s * 1e3, 3)
        return {**shown, "loss": round(self.loss, 4), **self.counts}


class TopicMonitor:
    """Watches one topic; one thread ticks, any thread may ask for a report."""

    def __init__(self, name: str, limits: TopicLimits | None = None, capacity: int = 1000) -> None:
        """Start before the first message.

        Args:
            name: Topic name, for the reasons.
            limits: What is healthy; by default any rate, and stale after half a second.
            capacity: How many of the newest messages are remembered.

        Raises:
            ConfigError: The capacity is too small to judge anything.
        """
        if capacity <= _SETTLED:
            raise ConfigError(f"capacity {capacity} of a topic monitor must be above {_SETTLED}")
        self.name = name
        self.limits = limits or TopicLimits()
        self._counts = EventCounts("received", "missing", "duplicates", "backwards", "clock_steps")
        # Columns: receipt, receipt minus stamp, messages missing before it, fault (0 or 1).
        self._events = np.zeros((capacity, 4), dtype=np.int64)
        self._total = 0
        self._first_received_ns = 0
        self._last_received_ns: int | None = None
        self._newest_stamp_ns: int | None = None
        self._stamped = False

    def reset(self) -> None:
        """Forget everything."""
        self._counts.reset()
        self._forget_past()

    def tick(self, received_ns: int, stamp_ns: int | None = None) -> int:
        """Record a message.

        Args:
            received_ns: When it arrived.
            stamp_ns: Its own stamp; without one, gaps and order are judged by arrival.

        Returns:
            How many messages must have been lost just before it.
        """
        if self._last_received_ns is not None and received_ns < self._last_received_ns:
            self._counts.add("clock_steps")
            self._forget_past()
        if not self._total:
            self._first_received_ns = received_ns
        self._stamped = stamp_ns is not None
        missing, fault = self._examine(received_ns if stamp_ns is None else int(stamp_ns))
        latency_ns = 0 if stamp_ns is None else received_ns - int(stamp_ns)
        self._events[self._total % len(self._events)] = (received_ns, latency_ns, missing, fault)
        self._total += 1
        self._last_received_ns = received_ns
        self._counts.add("received")
        self._counts.add("missing", missing)
        return missing

    def report(self, now_ns: int) -> TopicReport:
        """Return the verdict; ``now_ns`` is of the clock that ``received_ns`` came from."""
        counts = dict(self._counts.as_dict())
        last_ns, events = self._last_received_ns, self._window(now_ns)
        if last_ns is None or not events.size:
            return TopicReport("stale", "nothing received yet", 0.0, 0.0, None, None, 0.0, counts)
        age_s = max(now_ns - last_ns, 0) / _NS_PER_S
        missing = int(events[1:, 2].sum())
        loss = missing / (missing + len(events) - 1) if len(events) > 1 else 0.0
        latencies = events[:, 1]
        report = TopicReport(
            "ok",
            "as expected",
            _rate_hz(events[:, 0], now_ns),
            _jitter_s(events[:, 0]),
            age_s,
            float(np.percentile(latencies, 99.0)) / _NS_PER_S if self._stamped else None,
            loss,
            counts,
        )
        return self._judge(report, events, self._is_settled(now_ns))

    def _is_settled(self, now_ns: int) -> bool:
        """Return whether enough messages came, or should have come by now, to judge the pace."""
        due = (now_ns - self._first_received_ns) * self.limits.rate_hz / _NS_PER_S
        return self._total > _SETTLED or due > _SETTLED

    def _judge(self, report: TopicReport, events: NDArray[np.int64], settled: bool) -> TopicReport:
        """Return the report with level and reason."""
        limits, findings = self.limits, list[tuple[Level, str]]()
        age_s = report.age_s or 0.0
        if limits.max_age_s and age_s > limits.max_age_s:
            findings.append(("stale", f"silent for {age_s:.2f} s (limit {limits.max_age_s:g} s)"))
        if settled:
            findings += self._pace_findings(report)
        if faults := int(events[:, 3].sum()):
            findings.append(("warn", f"{faults} stamps repeated or going back"))
        if limits.max_latency_s and report.latency_s is not None:
            if report.latency_s > limits.max_latency_s:
                findings.append(
                    ("warn", f"{report.latency_s * 1e3:.1f} ms from stamp to receipt "
                             f"(limit {limits.max_latency_s * 1e3:g} ms)")
                )  # fmt: skip
            if float(np.median(events[:, 1])) / _NS_PER_S < -limits.max_latency_s:
                findings.append(("error", "stamps lie in the future: clocks are not synchronised"))
        if not findings:
            return report
        worst = max((level for level, _ in findings), key=LEVELS.index)
        reason = "; ".join(text for _, text in findings)
        return replace(report, level=worst, reason=reason)

    def _pace_findings(self, report: TopicReport) -> list[tuple[Level, str]]:
        """Return what is wrong with rate, loss and jitter."""
        limits, found = self.limits, list[tuple[Level, str]]()
        expected_hz = limits.rate_hz
        # A slow publisher shows as gaps too: one finding for both, the worse of the two.
        slow = max(1.0 - report.rate_hz / expected_hz, 0.0) if expected_hz else 0.0
        lost = max(slow, report.loss)
        if expected_hz and lost > limits.warn_loss:
            level: Level = "error" if lost > limits.error_loss else "warn"
            found.append(
                (level, f"{report.rate_hz:.1f} of {expected_hz:g} Hz arrive, "
                        f"{report.loss:.0%} lost by stamps")
            )  # fmt: skip
        if expected_hz and not limits.at_least and report.rate_hz > 1.5 * expected_hz:
            found.append(
                ("warn", f"{report.rate_hz:.1f} Hz where {expected_hz:g} Hz is expected: more than "
                         "one publisher?")
            )  # fmt: skip
        if limits.max_jitter_s and report.jitter_s > limits.max_jitter_s:
            found.append(
                ("warn", f"jitter {report.jitter_s * 1e3:.1f} ms "
                         f"(limit {limits.max_jitter_s * 1e3:g} ms)")
            )  # fmt: skip
        return found

    def _forget_past(self) -> None:
        """Begin a new window: what was before has nothing to do with what comes."""
        self._total = 0
        self._last_received_ns = None
        self._newest_stamp_ns = None

    def _examine(self, stamp_ns: int) -> tuple[int, int]:
        """Return how many messages are missing before this stamp, and 1 if it is a faulty one."""
        newest = self._newest_stamp_ns
        if newest is None or stamp_ns < newest - _CLOCK_STEP_NS:
            if newest is not None:
                self._counts.add("clock_steps")
            self._newest_stamp_ns = stamp_ns
            return 0, int(newest is not None)
        if stamp_ns <= newest:
            if self._stamped:  # arrivals at the same time are no fault
                self._counts.add("duplicates" if stamp_ns == newest else "backwards")
            return 0, int(self._stamped)
        self._newest_stamp_ns = stamp_ns
        if not self.limits.rate_hz:
            return 0, 0
        periods = (stamp_ns - newest) * self.limits.rate_hz / _NS_PER_S
        return max(round(periods) - 1, 0), 0

    def _window(self, now_ns: int) -> NDArray[np.int64]:
        """Return (n, 4) events of the window, oldest first, always with the newest one."""
        size = len(self._events)
        order = np.arange(max(self._total - size, 0), self._total) % size
        events = self._events[order]
        seconds = self.limits.window_s
        if self.limits.rate_hz:
            seconds = max(seconds, 20.0 / self.limits.rate_hz)
        recent = events[:, 0] >= now_ns - round(seconds * _NS_PER_S)
        recent[-1:] = True
        return events[recent]


def _rate_hz(received_ns: NDArray[np.int64], now_ns: int) -> float:
    """Return messages per second; a silence longer than the mean interval lowers it."""
    intervals = len(received_ns) - 1
    span_ns = int(received_ns[-1] - received_ns[0])
    if intervals < 1 or span_ns <= 0:
        return 0.0
    open_ns = max(now_ns - int(received_ns[-1]), 0)
    if open_ns * intervals > span_ns:
        return (intervals + 1) * _NS_PER_S / (span_ns + open_ns)
    return intervals * _NS_PER_S / span_ns


def _jitter_s(received_ns: NDArray[np.int64]) -> float:
    """Return the 99th percentile of |interval - median interval|, seconds."""
    intervals = np.diff(received_ns)
    if not intervals.size:
        return 0.0
    return float(np.percentile(np.abs(intervals - np.median(intervals)), 99.0)) / _NS_PER_S
