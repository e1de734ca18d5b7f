# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What commands and robot did over time, and how long after a fault they came to rest.

Times are wall times of arrival at the observer, integer nanoseconds. No rclpy.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

_NS_PER_MS = 1e6
REST_COMMAND_RAD_S = 0.005
"""Commanded joint speeds below this are standstill."""
REST_MEASURED_RAD_S = 0.02
"""Measured joint speeds below this are standstill."""
_CONFIRM_NS = 150_000_000
"""Standstill has to last this long to count."""
_SILENT_NS = 100_000_000
"""Without a command for this long nobody commands the robot."""

MOVING, HOLDING, UNCOMMANDED = "moving", "holding", "uncommanded"


@dataclass(frozen=True)
class Moment:
    """One speed at one time.

    Attributes:
        when_ns: Wall time of arrival (ns).
        speed_rad_s: Largest joint speed (rad/s).
    """

    when_ns: int
    speed_rad_s: float


@dataclass
class Timeline:
    """Speeds and states in order of arrival; written by one thread, read by another.

    Attributes:
        commanded: Speeds that were commanded.
        measured: Speeds that were measured.
        states: Time, state and reason whenever the command node reports a new one.
    """

    commanded: list[Moment] = field(default_factory=list)
    measured: list[Moment] = field(default_factory=list)
    states: list[tuple[int, str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def command(self, when_ns: int, speed_rad_s: float) -> None:
        """Take the speed of a command."""
        with self._lock:
            self.commanded.append(Moment(when_ns, speed_rad_s))

    def measure(self, when_ns: int, speed_rad_s: float) -> None:
        """Take a measured speed."""
        with self._lock:
            self.measured.append(Moment(when_ns, speed_rad_s))

    def state(self, when_ns: int, state: str, reason: str) -> None:
        """Take what the command node says it does; repetitions are left out."""
        with self._lock:
            if not self.states or self.states[-1][1:] != (state, reason):
                self.states.append((when_ns, state, reason))

    def forget_before(self, when_ns: int) -> None:
        """Drop what is older, so that long runs do not fill the memory."""
        with self._lock:
            self.commanded = [entry for entry in self.commanded if entry.when_ns >= when_ns]
            self.measured = [entry for entry in self.measured if entry.when_ns >= when_ns]

    def state_after_ms(self, fault_ns: int, wanted: Collection[str]) -> tuple[float, str] | None:
        """Return how long after a fault one of these states was reported, and its reason."""
        with self._lock:
            for when_ns, state, reason in self.states:
                if when_ns >= fault_ns and state in wanted:
                    return (when_ns - fault_ns) / _NS_PER_MS, reason
        return None

    def lasting_state_ms(self, fault_ns: int, wanted: Collection[str]) -> tuple[float, str] | None:
        """Return the same of the last change to one of these states, if none other followed."""
        since: tuple[int, str] | None = None
        with self._lock:
            for when_ns, state, reason in self.states:
                if state not in wanted:
                    since = None
                elif since is None and when_ns >= fault_ns:
                    since = when_ns, reason
        return None if since is None else ((since[0] - fault_ns) / _NS_PER_MS, since[1])

    def command_rest_ms(self, fault_ns: int, lasting: bool = False) -> float | None:
        """Return how long after a fault commands stood still; None while they do not.

        Args:
            fault_ns: When the fault was made.
            lasting: Of the standstill that goes on, not of the first.
        """
        with self._lock:
            return _rest_ms(self.commanded, fault_ns, REST_COMMAND_RAD_S, lasting)

    def rests(self, fault_ns: int, now_ns: int, seconds: float) -> bool:
        """Return whether commands came to rest after a fault and have stayed there until now.

        A hold that ends by itself, as after one late chunk, is not yet the answer to a fault.

        Args:
            fault_ns: When the fault was made.
            now_ns: Wall time.
            seconds: How long they have to have stayed (s).
        """
        begin_ns = now_ns - round(seconds * 1e9)
        if begin_ns < fault_ns or self.command_rest_ms(fault_ns) is None:
            return False
        with self._lock:
            recent = [entry for entry in self.commanded if entry.when_ns >= begin_ns]
        return all(entry.speed_rad_s <= REST_COMMAND_RAD_S for entry in recent)

    def robot_rest_ms(self, fault_ns: int, lasting: bool = False) -> float | None:
        """Return how long after a fault the robot was measured to stand still."""
        with self._lock:
            return _rest_ms(self.measured, fault_ns, REST_MEASURED_RAD_S, lasting)

    def motion(self, now_ns: int) -> str:
        """Return what the robot is doing now: moving, holding or uncommanded."""
        with self._lock:
            measured = self.measured[-1].speed_rad_s if self.measured else 0.0
            last = self.commanded[-1] if self.commanded else None
        silent = last is None or now_ns - last.when_ns > _SILENT_NS
        if measured > REST_MEASURED_RAD_S:
            return MOVING
        if silent or last is None:
            return UNCOMMANDED
        return MOVING if last.speed_rad_s > REST_COMMAND_RAD_S else HOLDING

    def moved_after(self, when_ns: int) -> bool:
        """Return whether a command has asked for motion since."""
        with self._lock:
            return any(
                entry.when_ns >= when_ns and entry.speed_rad_s > REST_COMMAND_RAD_S
                for entry in reversed(self.commanded)
            )


def _rest_ms(
    moments: list[Moment], fault_ns: int, threshold_rad_s: float, lasting: bool
) -> float | None:
    """Return the delay of the first moment at rest that is not followed by motion (soon after)."""
    since: int | None = None
    last_ns = fault_ns
    for moment in moments:
        if moment.when_ns < fault_ns:
            continue
        if moment.speed_rad_s > threshold_rad_s:
            since = None
        elif since is None:
            since = moment.when_ns
        elif moment.when_ns - since >= _CONFIRM_NS and not lasting:
            break
        last_ns = moment.when_ns
    if since is None:
        # Commands that end while the robot moves leave it without a goal, not at rest.
        return None
    return (since - fault_ns) / _NS_PER_MS if last_ns >= since else None
