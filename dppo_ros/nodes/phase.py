# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lets a steady thread drift towards the phase in which fresh work waits least for its turn.

Work that comes in rhythm, like the chunks of a policy that looks at the world ten times a second,
would otherwise wait half a period on average for the next round. No rclpy.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

_REMEMBERED = 16
_LEAST = 4
_MARGIN_NS = 200_000
"""Work that comes this much later than usual still makes its round."""
_NUDGE_NS = 20_000
"""Largest change of one interval: far below the jitter of the thread."""


class PhaseAligner:
    """Remembers when in the period work came, and says how to shift the rounds."""

    def __init__(self, period_ns: int) -> None:
        """Start without arrivals.

        Args:
            period_ns: Time between two rounds (ns).
        """
        self._period_ns = period_ns
        self._phases: deque[int] = deque(maxlen=_REMEMBERED)
        self._target: int | None = None

    def arrived(self, now_ns: int) -> None:
        """Take the time at which work came, on the clock of the rounds (ns)."""
        self._phases.append(now_ns % self._period_ns)
        if len(self._phases) >= _LEAST:
            self._target = best_phase(np.array(self._phases), self._period_ns)

    def nudge_ns(self, begins_ns: int) -> int:
        """Return by how much to shift the next round (ns), at most a little.

        Args:
            begins_ns: When a round begins, that is when it looks for work (ns).
        """
        if self._target is None:
            return 0
        half = self._period_ns // 2
        apart = (self._target - begins_ns + half) % self._period_ns - half
        return max(-_NUDGE_NS, min(_NUDGE_NS, apart))


def best_phase(arrivals: NDArray[np.int64], period_ns: int) -> int:
    """Return the phase at which rounds should begin so that work waits least on average (ns).

    Args:
        arrivals: (n,) times of arrival within the period (ns).
        period_ns: The period (ns).
    """
    # The best round begins right after one of the arrivals, but for the margin.
    waits = (arrivals[:, None] - arrivals[None, :]) % period_ns
    return int((arrivals[waits.mean(axis=1).argmin()] + _MARGIN_NS) % period_ns)
