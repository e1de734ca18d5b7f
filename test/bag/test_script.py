# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The script of a recorded run: what was asked, what was too late, which clock leads there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dppo_ros.bag.script import MAX_AGE_S, write_script
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.runtime import PolicyRuntime

PERIOD_NS = 100_000_000
VECTORS = {
    tick * PERIOD_NS: np.full(furniture_observation_spec().dim, 0.1, dtype=np.float32)
    for tick in range(12)
}


@pytest.fixture
def planner(gentle_bundle: Path) -> ChunkPlanner:
    """Return a planner that asks at every fourth tick, with answers of four actions."""
    bundle = load_bundle(gentle_bundle)
    return ChunkPlanner(bundle.manifest, PolicyRuntime(bundle), 3, ExecutionSettings())


def test_without_recorded_times_every_due_query_is_answered_at_once(planner: ChunkPlanner) -> None:
    script = write_script(VECTORS, planner, {})
    asked = [step.stamp_ns // PERIOD_NS for step in script if step.answer is not None]
    assert asked == [0, 4, 8]
    assert all(step.clock_ns == step.stamp_ns for step in script)


def test_query_that_the_live_node_left_out_is_met_too_late_and_asked_again(
    planner: ChunkPlanner,
) -> None:
    recorded = {0: 5_000_000, 6 * PERIOD_NS: 7_000_000, 10 * PERIOD_NS: 0}
    script = write_script(VECTORS, planner, recorded)
    asked = {s.stamp_ns: s.clock_ns - s.stamp_ns for s in script if s.answer is not None}
    assert asked == recorded
    late = [s.stamp_ns // PERIOD_NS for s in script if s.clock_ns - s.stamp_ns > MAX_AGE_S * 1e9]
    assert late == [4, 5]


def test_answer_that_is_wholly_past_is_not_sent_and_asks_again(planner: ChunkPlanner) -> None:
    recorded = {0: 4 * PERIOD_NS, PERIOD_NS: 4 * PERIOD_NS - 1, 5 * PERIOD_NS: 0, 9 * PERIOD_NS: 0}
    script = write_script(VECTORS, planner, recorded)
    sent = {s.stamp_ns // PERIOD_NS: s.is_sent for s in script if s.answer is not None}
    assert sent == {0: False, 1: True, 5: True, 9: True}
