# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a chunk came in time, and what made it late: nothing is late without a word.

A chunk is late when the robot had nothing to do before it came: the old chunk had run out, and the
new one's first action should have begun. The delay is split into what the observation lost on its
way, the wait for an earlier inference, and the inference itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from dppo_ros.core.planner import PlannedChunk


@dataclass(frozen=True)
class Arrival:
    """The verdict about one chunk.

    Attributes:
        delay_ns: From the time of its first action to its arrival (ns).
        past_actions: Its actions whose time is over.
        useless: All of them are.
        starved_ns: How long the robot had no action because of it, beyond one period (ns).
        reason: What took longest, in words; empty when it was in time.
    """

    delay_ns: int
    past_actions: int
    useless: bool
    starved_ns: int
    reason: str


class Punctuality:
    """Judges chunks in the order in which they are sent."""

    def __init__(self, period_ns: int) -> None:
        """Start without an earlier chunk; period_ns is the time between two actions."""
        self._period_ns = period_ns
        self._covered_until_ns: int | None = None

    def reset(self) -> None:
        """Forget the earlier chunks."""
        self._covered_until_ns = None

    def judge(self, chunk: PlannedChunk, asked_ns: int, begun_ns: int, now_ns: int) -> Arrival:
        """Return the verdict.

        Args:
            chunk: The chunk.
            asked_ns: When its observation came (ns, node time).
            begun_ns: When its inference began (ns, node time).
            now_ns: When it is ready (ns, node time).
        """
        delay_ns = now_ns - chunk.stamp_ns
        count = len(chunk.actions)
        past = min(max(delay_ns // self._period_ns, 0), count)
        starved_ns = self._starved(chunk, now_ns)
        if past < count:
            self._covered_until_ns = chunk.stamp_ns + count * self._period_ns
        parts = {
            "the observation came late": asked_ns - chunk.stamp_ns,
            "an earlier inference was not done": begun_ns - asked_ns,
            "inference is slow": now_ns - begun_ns,
        }
        longest = max(parts, key=lambda name: parts[name])
        late = starved_ns > 0 or past == count
        reason = f"{longest} ({parts[longest] * 1e-6:.0f} of {delay_ns * 1e-6:.0f} ms)"
        return Arrival(delay_ns, past, past == count, starved_ns, reason if late else "")

    def _starved(self, chunk: PlannedChunk, now_ns: int) -> int:
        """Return the time without an action, once it is longer than a period, else 0."""
        if self._covered_until_ns is None:
            return 0
        gap_ns = now_ns - max(self._covered_until_ns, chunk.stamp_ns)
        return gap_ns if gap_ns > self._period_ns else 0
