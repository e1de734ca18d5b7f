# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the time of a camera to the time of this computer, and which pictures never arrived.

A camera stamps pictures with its own counter, which starts anywhere and runs a little fast or
slow. The picture then travels for a time that varies, but is never shorter than some minimum. So
the smallest difference of arrival and camera stamp over the last seconds is, up to that minimum,
the difference of the two clocks. Times are integer nanoseconds.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ConfigError

_MS = 1_000_000
_STEP_NS = 500 * _MS
"""Clocks that move apart by more than this at once were set; pictures are not that late."""

_SHIFT_NS = 10 * _MS
"""A lasting change larger than this is a clock that was set a little; drift is far slower."""

_EARLIEST_NS, _LATEST_NS = -2 * _MS, 1000 * _MS
"""Age on arrival for which a stamp that claims to be in host time is believed."""

_LARGEST_GAP = 3000
"""A larger gap in picture numbers is a counter that was set, not a loss."""


class DeviceClock:
    """Turns camera stamps into host time; the result never goes back while the clocks run on."""

    def __init__(self, latency_ns: int = 0, window: int = 300, recent: int = 30) -> None:
        """Start without knowledge.

        Args:
            latency_ns: Shortest time from exposure to arrival (ns), subtracted where the offset of
                the clocks is estimated from arrivals.
            window: Pictures over which the smallest difference is taken.
            recent: Pictures after which a lasting change of the difference is believed.

        Raises:
            ConfigError: The window is not longer than what counts as recent.
        """
        if not 0 < recent < window:
            raise ConfigError(f"clock window {window} must be above the recent part {recent} > 0")
        self.counts = EventCounts("clock_steps", "stamps_held")
        self._latency_ns = latency_ns
        self._recent = recent
        self._offsets: deque[int] = deque(maxlen=window)
        self._last_ns: int | None = None

    @property
    def offset_ns(self) -> int | None:
        """Return host minus camera time (ns), with the shortest travel; None when not known."""
        return min(self._offsets) if self._offsets else None

    def reset(self) -> None:
        """Forget the camera's clock, as after it was connected again; counts go on."""
        self._offsets.clear()

    def stamp_ns(self, device_ns: int, arrival_ns: int, in_host_time: bool = False) -> int:
        """Return when a picture was taken, in host time (ns).

        Args:
            device_ns: Stamp of the camera.
            arrival_ns: Host time at which the picture arrived.
            in_host_time: The SDK says that the stamp is in host time already.
        """
        age_ns = arrival_ns - device_ns
        if in_host_time and _EARLIEST_NS <= age_ns <= _LATEST_NS:
            stamp_ns = min(device_ns, arrival_ns)
        else:
            self._learn(age_ns)
            stamp_ns = device_ns + min(self._offsets) - self._latency_ns
        last_ns = self._last_ns
        if last_ns is not None and last_ns - _STEP_NS < stamp_ns <= last_ns:
            self.counts.add("stamps_held")
            stamp_ns = last_ns + 1
        self._last_ns = stamp_ns
        return stamp_ns

    def _learn(self, offset_ns: int) -> None:
        """Take one difference into account; after a step of a clock only what follows counts."""
        offsets = self._offsets
        if offsets and abs(offset_ns - min(offsets)) > _STEP_NS:
            self.counts.add("clock_steps")
            offsets.clear()
        offsets.append(offset_ns)
        if len(offsets) <= self._recent:
            return
        newest = list(islice(reversed(offsets), self._recent))
        if min(newest) - min(offsets) > _SHIFT_NS:
            self.counts.add("clock_steps")
            offsets.clear()
            offsets.extend(reversed(newest))


class PictureCounter:
    """Counts pictures that are missing from the camera's own numbering."""

    def __init__(self) -> None:
        """Start before the first picture."""
        self._last: int | None = None

    def reset(self) -> None:
        """Forget the numbering, as after the stream was started again."""
        self._last = None

    def missing(self, number: int) -> int:
        """Return how many pictures were lost before this one; none after a counter was set."""
        last, self._last = self._last, number
        if last is None or not last < number <= last + _LARGEST_GAP:
            return 0
        return number - last - 1
