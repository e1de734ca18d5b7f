# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When a refused setpoint is more than a reason to hold.

The gate stops the arm whatever it refuses. One refusal in ordinary running, such as a goal from
whose approach the arm could not brake gently enough, ends with the next good action. An arm that
does not follow its setpoints, or a generator that is refused again and again, needs a person.
"""

from __future__ import annotations

from collections import deque

MEASURED_DISTANCE = "far_from_measured_joints"
"""The gate's word for an arm that is not where its setpoints are."""

MOST = 4
WINDOW_NS = 10_000_000_000


class Refusals:
    """Remembers the refusals of the last seconds."""

    def __init__(self) -> None:
        """Start without refusals."""
        self._times_ns: deque[int] = deque(maxlen=MOST)

    def is_grave(self, reason: str, now_ns: int) -> bool:
        """Take a refusal into account and return whether it is a fault.

        Args:
            reason: The gate's word for it.
            now_ns: Time of the refusal.
        """
        self._times_ns.append(now_ns)
        often = len(self._times_ns) == MOST and now_ns - self._times_ns[0] <= WINDOW_NS
        return often or reason == MEASURED_DISTANCE
