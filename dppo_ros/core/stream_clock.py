# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When setpoints were due and sent: what is served, how long a step is, when a stream broke."""

from __future__ import annotations

LONGEST_PAUSE_NS = 50_000_000
"""A stream of setpoints with a longer pause has ended: the arm does not wait where it left off."""


class StreamClock:
    """Keeps the times of one stream of setpoints; all times are integer nanoseconds."""

    def __init__(self, cycle_ns: int, lockstep: bool) -> None:
        """Start without a stream.

        Args:
            cycle_ns: Time between two setpoints.
            lockstep: Setpoints are withheld on purpose, so that no pause ends the stream.
        """
        self._cycle_ns, self._lockstep = cycle_ns, lockstep
        self._now_ns: int | None = None
        self._sent_ns: int | None = None
        self._broken_ns: int | None = None
        self._first = True

    def turn(self, now_ns: int) -> bool:
        """Take the time of a cycle; return whether the clock went back."""
        went_back = self._now_ns is not None and now_ns < self._now_ns
        self._now_ns = now_ns
        return went_back

    def forget(self) -> None:
        """Forget what was before the clock went back."""
        self._sent_ns = self._broken_ns = None

    def is_served(self, now_ns: int) -> bool:
        """Return whether a setpoint was sent for this time or a later one."""
        return self._sent_ns is not None and now_ns <= self._sent_ns

    def has_broken(self, now_ns: int) -> bool:
        """Return whether setpoints of a stream that has begun are missing for too long."""
        if self._first or self._lockstep or self._sent_ns is None:
            return False
        return now_ns - self._sent_ns > LONGEST_PAUSE_NS

    def end(self, now_ns: int) -> None:
        """End a broken stream: where the arm stands is to be measured from now on."""
        self._broken_ns, self._first = now_ns, True

    def may_begin_on(self, stamp_ns: int) -> bool:
        """Return whether joints measured at this time tell where the arm stands."""
        return self._broken_ns is None or stamp_ns >= self._broken_ns

    def begin(self) -> None:
        """Begin a stream; its first step is as long as a cycle."""
        self._first, self._broken_ns = True, None

    def step_ns(self, now_ns: int) -> int:
        """Return the time since the setpoint before this one, which is sent now."""
        step_ns = self._cycle_ns
        if self._sent_ns is not None and not self._first:
            step_ns = min(now_ns - self._sent_ns, LONGEST_PAUSE_NS)
        self._first, self._sent_ns = False, now_ns
        return step_ns
