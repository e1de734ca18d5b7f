# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The planner: when to query, on which window, with which noise."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.core.planner import ChunkPlanner, noise_generator

PERIOD_NS = 100_000_000


class Manifest:
    """The part of a manifest that the planner reads."""

    name = "fake"
    act_steps = 4
    cond_steps = 2
    image_shape: tuple[int, ...] | None = None
    control_period_ns = PERIOD_NS


class Runtime:
    """Returns the noise, so that tests see which one was drawn."""

    def infer(self, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return noise

    def sample_noise(self, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal((4, 3), dtype=np.float32)


def planner(seed: int = 0, execute_steps: int = 0) -> ChunkPlanner:
    settings = ExecutionSettings(execute_steps=execute_steps)
    return ChunkPlanner(Manifest(), Runtime(), seed, settings)  # type: ignore[arg-type]


def observed(tick: float) -> AlignedObservation:
    return AlignedObservation(round(tick * PERIOD_NS), np.full(3, tick, dtype=np.float32))


def query_ticks(plan: ChunkPlanner, ticks: list[float]) -> list[float]:
    queries = [plan.observe(observed(tick)) for tick in ticks]
    return [query.stamp_ns / PERIOD_NS for query in queries if query is not None]


def test_queries_come_when_the_chunk_has_run_out() -> None:
    assert query_ticks(planner(), list(range(10))) == [0, 4, 8]
    assert query_ticks(planner(execute_steps=2), list(range(6))) == [0, 2, 4]


def test_late_observation_is_used_and_the_rhythm_starts_from_it() -> None:
    assert query_ticks(planner(), [0, 1, 2, 3, 5, 6, 7, 8, 9]) == [0, 5, 9]


def test_stamps_that_jitter_do_not_skip_a_query() -> None:
    assert query_ticks(planner(), [0, 1.02, 1.98, 3.01, 3.99, 5.0]) == [0, 3.99]


def test_retry_makes_the_next_observation_a_query() -> None:
    plan = planner()
    plan.observe(observed(0))
    plan.retry()
    assert plan.observe(observed(1)) is not None


def test_window_is_padded_with_the_first_and_restarts_after_a_gap() -> None:
    plan = planner()
    query = plan.observe(observed(0))
    assert query is not None
    assert query.window[:, 0].tolist() == [0, 0]
    plan.observe(observed(1))
    assert plan.query_now().window[:, 0].tolist() == [0, 1]
    plan.observe(observed(7))
    assert plan.query_now().window[:, 0].tolist() == [7, 7]


def test_noise_follows_from_seed_and_stamp_alone() -> None:
    first, second = planner(seed=5), planner(seed=5)
    second.observe(observed(0))
    query = second.observe(observed(4))
    first_query = first.observe(observed(4))
    assert query is not None
    assert first_query is not None
    np.testing.assert_array_equal(second.infer(query).actions, first.infer(first_query).actions)
    drawn = {
        noise_generator(seed, stamp).standard_normal()
        for seed in range(5)
        for stamp in (0, 1, 10**18)
    }
    assert len(drawn) == 15


def test_execute_steps_beyond_the_chunk_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"execute_steps is 5.*predicts 4 actions"):
        planner(execute_steps=5)
