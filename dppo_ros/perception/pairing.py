# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of several cameras -> sets taken at the same time.

The twin stamps all cameras alike; real cameras run free, so the nearest picture within a tolerance
belongs to the set. A set is complete when every camera that is alive has its picture in it. A
camera that has been silent for a while is not waited for; one that just missed a picture is waited
for until its next picture is too late, or until the caller's patience ends (``flush``).

Stamps that do not advance are dropped; one that goes far back means that the clock was set back,
and everything starts anew. Pure Python, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ConfigError, unknown_name_message

Item = TypeVar("Item")


@dataclass(frozen=True)
class FrameSet(Generic[Item]):
    """Pictures that belong together.

    Attributes:
        stamp_ns: Their time, that of the oldest of them.
        items: One for each camera that has one, by camera.
    """

    stamp_ns: int
    items: dict[str, Item]


@dataclass(frozen=True)
class PairingOptions:
    """When pictures belong together.

    Attributes:
        tolerance_ns: Largest difference of their stamps.
        silent_ns: A camera this far behind the others is not waited for.
        jump_ns: A stamp this far back means that the clock was set back.
    """

    tolerance_ns: int = 20_000_000
    silent_ns: int = 1_000_000_000
    jump_ns: int = 1_000_000_000

    def __post_init__(self) -> None:
        """Refuse values out of order.

        Raises:
            ConfigError: A negative tolerance, or silence shorter than the tolerance.
        """
        if self.tolerance_ns < 0 or self.silent_ns <= self.tolerance_ns or self.jump_ns <= 0:
            raise ConfigError(
                f"{self}: tolerance must not be negative, silence longer than it, the jump positive"
            )


class FramePairing(Generic[Item]):
    """Collects pictures until a set is complete."""

    def __init__(self, cameras: Sequence[str], options: PairingOptions | None = None) -> None:
        """Start without pictures.

        Args:
            cameras: Names of the cameras; at least one.
            options: When pictures belong together.

        Raises:
            ConfigError: No camera, or one twice.
        """
        if not cameras or len(set(cameras)) != len(cameras):
            raise ConfigError(f"cameras {list(cameras)} must be at least one, all different")
        self._cameras = tuple(cameras)
        self._options = options or PairingOptions()
        self.counts = EventCounts("sets", "partial_sets", "not_advancing", "clock_jumps")
        self._newest_ns: dict[str, int] = {}
        self._open: dict[str, tuple[int, Item]] = {}
        self._sent_ns: int | None = None
        self._first_ns: int | None = None

    @property
    def waiting(self) -> bool:
        """Return whether a set is open."""
        return bool(self._open)

    def reset(self) -> None:
        """Forget every picture."""
        self._newest_ns.clear()
        self._open.clear()
        self._sent_ns = self._first_ns = None

    def silent(self) -> tuple[str, ...]:
        """Return the cameras that are not waited for."""
        if self._first_ns is None:
            return ()
        first_ns = self._first_ns
        limit = max(self._newest_ns.values()) - self._options.silent_ns
        return tuple(c for c in self._cameras if self._newest_ns.get(c, first_ns) < limit)

    def add(self, camera: str, stamp_ns: int, item: Item) -> list[FrameSet[Item]]:
        """Take a picture and return the sets that it completes, oldest first.

        Raises:
            ConfigError: Unknown camera.
        """
        if camera not in self._cameras:
            raise ConfigError(unknown_name_message("camera", camera, self._cameras))
        newest = self._newest_ns.get(camera)
        if newest is not None and stamp_ns <= newest - self._options.jump_ns:
            self.counts.add("clock_jumps")
            self.reset()
        elif newest is not None and stamp_ns <= newest:
            self.counts.add("not_advancing")
            return []
        self._newest_ns[camera] = stamp_ns
        self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        done = []
        if self._open and (camera in self._open or not self._fits(stamp_ns)):
            if stamp_ns < min(stamp for stamp, _ in self._open.values()):
                # Older than the open set: it came too late for its own.
                self.counts.add("not_advancing")
                return []
            done += self.flush()
        if self._sent_ns is not None and stamp_ns <= self._sent_ns + self._options.tolerance_ns:
            self.counts.add("not_advancing")
            return done
        self._open[camera] = (stamp_ns, item)
        missing = set(self._cameras) - set(self._open) - set(self.silent())
        if not missing:
            done += self.flush()
        return done

    def flush(self) -> list[FrameSet[Item]]:
        """Return the open set as it is, at most one, because nobody wants to wait longer."""
        if not self._open:
            return []
        stamps = [stamp for stamp, _ in self._open.values()]
        items = {camera: self._open[camera][1] for camera in self._cameras if camera in self._open}
        self._open.clear()
        self._sent_ns = max(stamps)
        self.counts.add("sets")
        if len(items) < len(self._cameras):
            self.counts.add("partial_sets")
        return [FrameSet(min(stamps), items)]

    def _fits(self, stamp_ns: int) -> bool:
        stamps = [stamp for stamp, _ in self._open.values()]
        low = max(stamps) - self._options.tolerance_ns
        return low <= stamp_ns <= min(stamps) + self._options.tolerance_ns
