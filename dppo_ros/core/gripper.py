# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gripper latch: open or closed, and not to and fro too often. Standard library only."""

from __future__ import annotations

from dppo_ros.core.inverse_kinematics import GRIPPER_DEAD_BAND


class GripperLatch:
    """Remembers whether the gripper is told to be closed."""

    def __init__(self, shortest_ns: int) -> None:
        """Start without an opinion.

        Args:
            shortest_ns: Least time between two changes (ns).
        """
        self._shortest_ns = shortest_ns
        self._changed_ns: int | None = None
        self.value: float | None = None
        self.suppressed = 0

    @property
    def closed(self) -> bool:
        """Return whether the gripper is told to be closed."""
        return self.value is not None and self.value > 0.0

    def update(self, value: float, now_ns: int) -> float:
        """Return the latch value to send for a value that the policy asks for.

        A value inside the dead band, or a change too soon after the last one, changes nothing.
        """
        if self.value is None:
            self.value = value
            return value
        changes = abs(value) > GRIPPER_DEAD_BAND and (value > 0.0) != self.closed
        last = self._changed_ns
        if changes and last is not None and 0 <= now_ns - last < self._shortest_ns:
            self.suppressed += 1
            return self.value
        if changes:
            self._changed_ns = now_ns
        if changes or (value > 0.0) == self.closed:
            self.value = value
        return self.value
