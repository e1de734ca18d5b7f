# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an observation must be to reach the policy: the right names, finite, newer than the last.

Names are compared with those of the bundle, in order: joint order and missing trackers are the
classic reasons why a policy works in simulation and not on a robot. Time never runs backwards
except when the clock itself does, as after a restart of a simulation; that is told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.diagnostics import EventCounts


class Refusal(str, Enum):
    """Why an observation is not used; the values name the counters."""

    LAYOUT = "wrong_layout"
    NOT_FINITE = "not_finite"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    FUTURE = "from_the_future"


@dataclass(frozen=True, eq=False)
class Checked:
    """The verdict about one observation.

    Attributes:
        vector: (obs_dim,) float32 raw units; empty when it is refused.
        refusal: Why it is not used; None when it is.
        reason: The same in words, with what to do; empty when it is used.
        restart: The clock went back, so everything before this observation is to be forgotten.
    """

    vector: NDArray[np.float32]
    refusal: Refusal | None = None
    reason: str = ""
    restart: bool = False


class ObservationGate:
    """Judges observations in the order in which they arrive."""

    def __init__(self, names: Sequence[str], max_skew_ns: int) -> None:
        """Start without a last observation.

        Args:
            names: Component names of the bundle's observation, in order.
            max_skew_ns: How far beyond the present a stamp may lie, and how far the clock must
                have gone back to count as restarted (ns).
        """
        self._names = tuple(names)
        self._max_skew_ns = max_skew_ns
        self._last_ns: int | None = None
        self.counts = EventCounts(*(refusal.value for refusal in Refusal), "clock_restarts")

    def reset(self) -> None:
        """Forget the last observation; counters stay."""
        self._last_ns = None

    def check(self, stamp_ns: int, names: Sequence[str], values: ArrayLike, now_ns: int) -> Checked:
        """Return the verdict about one observation.

        Args:
            stamp_ns: Its time (ns).
            names: Its component names.
            values: Its numbers.
            now_ns: The present (ns); 0 while it is not known.
        """
        vector = np.asarray(values, dtype=np.float64)
        if tuple(names) != self._names or vector.shape != (len(self._names),):
            return self._refuse(Refusal.LAYOUT, self._layout(names, vector.shape))
        with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused
            single = vector.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(single))
        if bad.size:
            name = self._names[bad[0]]
            return self._refuse(
                Refusal.NOT_FINITE,
                f"component {name!r} is {vector[bad[0]]}, not finite; check what provides it",
            )
        # 0 is simulated time before its first message.
        if 0 < now_ns < stamp_ns - self._max_skew_ns:
            ahead_s = (stamp_ns - now_ns) * 1e-9
            return self._refuse(
                Refusal.FUTURE, f"its stamp lies {ahead_s:.3f} s ahead; synchronise the clocks"
            )
        restart = False
        if self._last_ns is not None and stamp_ns <= self._last_ns:
            restart = now_ns < self._last_ns - self._max_skew_ns
            if not restart:
                return self._not_newer(stamp_ns, self._last_ns)
            self.counts.add("clock_restarts")
        self._last_ns = stamp_ns
        return Checked(single, restart=restart)

    def _not_newer(self, stamp_ns: int, last_ns: int) -> Checked:
        if stamp_ns == last_ns:
            return self._refuse(
                Refusal.DUPLICATE,
                "its stamp was there before; check that one node only publishes observations",
            )
        late_ms = (last_ns - stamp_ns) * 1e-6
        return self._refuse(
            Refusal.OUT_OF_ORDER,
            f"it is {late_ms:.1f} ms older than one that came before; check for a second "
            "publisher of observations",
        )

    def _refuse(self, refusal: Refusal, reason: str) -> Checked:
        self.counts.add(refusal.value)
        return Checked(np.zeros(0, np.float32), refusal, reason)

    def _layout(self, names: Sequence[str], shape: tuple[int, ...]) -> str:
        wanted, found = self._names, tuple(names)
        missing = [name for name in wanted if name not in found]
        unknown = [name for name in found if name not in wanted]
        what = "; ".join(
            text
            for text in (
                f"missing {', '.join(missing)}" if missing else "",
                f"unknown {', '.join(unknown)}" if unknown else "",
                "wrong order" if not missing and not unknown and found != wanted else "",
                f"{shape} numbers" if shape != (len(found),) else "",
            )
            if text
        )
        return (
            f"its components are not those of the bundle ({what}); give all nodes one bundle. "
            f"Received: {', '.join(found)}. Bundle: {', '.join(wanted)}"
        )
