# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rounds drift to where work waits least, and never by more than a little at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.nodes.phase import PhaseAligner, best_phase

US = 1000
PERIOD_NS = 5000 * US
MARGIN_NS = 200 * US


def waits(arrivals: list[int], phase: int) -> np.ndarray:
    return (phase - np.array(arrivals)) % PERIOD_NS


def test_rounds_begin_just_after_work_that_is_punctual() -> None:
    assert best_phase(np.array([1000 * US] * 5), PERIOD_NS) == 1000 * US + MARGIN_NS


def test_one_straggler_does_not_make_the_others_wait() -> None:
    arrivals = [100 * US, 150 * US, 200 * US, 250 * US, 4000 * US]
    assert best_phase(np.array(arrivals), PERIOD_NS) == 250 * US + MARGIN_NS


@given(st.lists(st.integers(0, PERIOD_NS - 1), min_size=1, max_size=16))
def test_no_worse_than_half_a_period_and_the_margin(arrivals: list[int]) -> None:
    mean = waits(arrivals, best_phase(np.array(arrivals), PERIOD_NS)).mean()
    assert mean <= PERIOD_NS / 2 + MARGIN_NS


@given(st.integers(0, PERIOD_NS - 1), st.integers(0, PERIOD_NS - 1))
def test_drift_is_slow_and_ends_at_the_phase(start_ns: int, arrival_ns: int) -> None:
    aligner = PhaseAligner(PERIOD_NS)
    assert aligner.nudge_ns(start_ns) == 0
    for number in range(4):
        aligner.arrived(number * 100 * PERIOD_NS + arrival_ns)
    begins = start_ns
    for _ in range(130):  # half a period in steps of 20 microseconds, and some to spare
        nudge = aligner.nudge_ns(begins)
        assert abs(nudge) <= 20 * US
        begins += PERIOD_NS + nudge
    assert (begins - arrival_ns) % PERIOD_NS == MARGIN_NS
