# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Durations in a few numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dppo_ros.bench.table import Cell

_NS_PER_MS = 1e6


def milliseconds(durations_ns: ArrayLike) -> dict[str, Cell]:
    """Return count, median, 90th, 99th and 99.9th percentile and maximum (ms).

    Percentiles between two values are interpolated; with few values the high ones are little more
    than the maximum, which the count tells.

    Args:
        durations_ns: (n,) durations, nanoseconds.
    """
    values = np.asarray(durations_ns, dtype=np.float64) / _NS_PER_MS
    names = ("median ms", "p90 ms", "p99 ms", "p99.9 ms")
    if not values.size:
        return {"n": 0, **dict.fromkeys((*names, "max ms"))}
    found = np.percentile(values, (50.0, 90.0, 99.0, 99.9))
    return {
        "n": int(values.size),
        **{name: float(value) for name, value in zip(names, found, strict=True)},
        "max ms": float(values.max()),
    }
