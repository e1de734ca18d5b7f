# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What may be believed of measured joints, going by their stamps and by what an arm can do."""

from __future__ import annotations

import numpy as np

from dppo_ros.core.command_state import MeasuredJoints

AHEAD_NS = 50_000_000
"""A measurement may be stamped this much after the instant that uses it."""
CLOCK_JUMP_NS = 1_000_000_000
"""A stamp this much back does not come from the network: the clock was set."""
_JUMP_RAD, _FASTEST_RAD_S = 0.05, 6.0


def is_stale(measured: MeasuredJoints, now_ns: int, max_age_ns: int) -> bool:
    """Return whether a measurement is too old, or from the future of a clock that went back."""
    return not -AHEAD_NS <= now_ns - measured.stamp_ns <= max_age_ns


def is_out_of_order(before: MeasuredJoints, now: MeasuredJoints) -> bool:
    """Return whether a measurement was overtaken by the one before it."""
    return 0 < before.stamp_ns - now.stamp_ns < CLOCK_JUMP_NS


def has_jumped(before: MeasuredJoints, now: MeasuredJoints) -> bool:
    """Return whether no arm could have moved like that between two measurements."""
    elapsed_s = abs(now.stamp_ns - before.stamp_ns) * 1e-9
    return bool(
        np.abs(now.position - before.position).max() > _JUMP_RAD + _FASTEST_RAD_S * elapsed_s
    )
