# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Resident memory of processes over time, and how fast it grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dppo_ros.bench.table import Row

_KB_PER_MB = 1024.0


def resident_kb(pid: int) -> int | None:
    """Return the resident memory of a process (KiB), None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return None


@dataclass
class MemoryRecord:
    """Samples of the memory of one process.

    Attributes:
        times_s: When the samples were taken (s).
        resident_kb: What they were (KiB).
    """

    times_s: list[float] = field(default_factory=list)
    resident_kb: list[int] = field(default_factory=list)

    def add(self, time_s: float, size_kb: int) -> None:
        """Take one sample."""
        self.times_s.append(time_s)
        self.resident_kb.append(size_kb)

    def row(self, name: str, settle_s: float) -> Row:
        """Return how the memory grew once the process had settled.

        Growth is that of the straight line that fits the samples best, from its beginning to its
        end: single samples jump by whole arenas of the allocator.

        Args:
            name: Name of the process.
            settle_s: Samples before this time are left out (s).
        """
        times = np.array(self.times_s)
        sizes = np.array(self.resident_kb, dtype=np.float64)
        kept = times >= settle_s
        if kept.sum() < 3:
            return {"process": name, "start MB": None, "end MB": None, "growth KB/min": None,
                    "growth %": None}  # fmt: skip
        times, sizes = times[kept], sizes[kept]
        slope, offset = np.polyfit(times, sizes, 1)
        begin = offset + slope * times[0]
        growth = slope * (times[-1] - times[0])
        return {
            "process": name,
            "start MB": float(sizes[0]) / _KB_PER_MB,
            "end MB": float(sizes[-1]) / _KB_PER_MB,
            "growth KB/min": float(slope * 60.0),
            "growth %": float(100.0 * growth / begin),
        }
