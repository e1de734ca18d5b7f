# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The offline comparison of execution modes, on a cell that only notes what it is told."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from execution_cell import HORIZON, KnownPolicy, manifest

from dppo_ros.bench.execution import _Job, _row, _run_job, add, run
from dppo_ros.bench.execution_trial import Trial, goal_jerk, run_trial
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.core.observation import RobotState
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.spec import Field, VectorSpec

STEP_NS = 2_000_000


@dataclass
class NotedCell:
    """Succeeds after a number of ticks and remembers every target with its time."""

    solved_after: int
    steps: int = 0
    targets: list[tuple[int, float]] = field(default_factory=list)
    tag_from_part: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def robot(self) -> RobotState:
        return RobotState(np.zeros(3), np.eye(3), np.zeros(3), np.zeros(3), np.zeros(()))

    @property
    def success(self) -> bool:
        return self.steps * STEP_NS >= self.solved_after * 100_000_000

    def reset(self, seed: int, randomness: str | None = None) -> NotedCell:
        return self

    def set_target(self, position: np.ndarray, base_from_tool: np.ndarray, gripper: float) -> None:
        self.targets.append((self.steps * STEP_NS, float(position[0])))

    def advance(self, physics_steps: int) -> None:
        self.steps += physics_steps

    def state(self) -> NotedCell:
        return self


def trial(
    settings: ExecutionSettings, delay_ms: float, solved_after: int = 100
) -> tuple[Trial, NotedCell]:
    cell = NotedCell(solved_after)
    known = replace(
        manifest(),
        observation=VectorSpec((Field("tool_position", 3, "m", "base", ("x", "y", "z"), ""),)),
    )
    planner = ChunkPlanner(known, KnownPolicy(), 0, settings)
    return run_trial(cell, known, planner, round(delay_ms * 1e6), 0, 24, STEP_NS), cell


def test_without_delay_every_tick_has_its_action_at_its_start() -> None:
    done, cell = trial(ExecutionSettings(), 0.0)
    assert [time for time, _ in cell.targets] == [tick * 100_000_000 for tick in range(24)]
    assert (done.success, done.ticks, done.chunks, done.held_ticks) == (False, 24, 3, 0)


def test_a_delay_stops_the_receding_horizon_and_async_bridges_it() -> None:
    done, cell = trial(ExecutionSettings(), 50.0)
    assert cell.targets[0][0] == 50_000_000
    assert done.held_ticks == 3
    bridged, _ = trial(ExecutionSettings(mode="async"), 50.0)
    assert bridged.held_ticks == 1
    assert bridged.chunks == 24 * 2 // HORIZON


def test_one_inference_at_a_time_and_the_newest_query_wins() -> None:
    done, _ = trial(ExecutionSettings(mode="ensemble"), 250.0)
    assert done.chunks == 2400 // 250
    rtc, _ = trial(ExecutionSettings(mode="rtc"), 150.0)
    assert rtc.delay_steps[:4] == [1, 1, 2, 2]


def test_success_ends_the_episode() -> None:
    done, _ = trial(ExecutionSettings(), 0.0, solved_after=7)
    assert (done.success, done.ticks) == (True, 7)


def test_jerk_of_a_cubic_is_constant() -> None:
    time_s = np.arange(10) * 0.1
    track = [np.array([0.5 * t**3, 0.0, 1.0]) for t in time_s]
    assert goal_jerk(track, 0.1) == pytest.approx(3.0)
    assert np.isnan(goal_jerk(track[:3], 0.1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--delays-ms", "0,soon"], r"delays-ms is '0,soon'; it must be numbers from 0 to 10000"),
        (["--modes", "hover"], "unknown execution mode 'hover'"),
        (["--episodes", "0"], "episodes is 0 and workers 1; both must be at least 1"),
        (["--execute-steps", "8", "--modes", "async"], "fewer must be executed than predicted"),
    ],
)
def test_options_are_checked_before_anything_runs(words: list[str], message: str) -> None:
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    with pytest.raises(ConfigError, match=message):
        run(parser.parse_args(["execution", *words]))


def test_a_short_comparison_on_the_simulated_cell() -> None:
    """A few ticks of it: the wiring of cell, bundle and table."""
    pytest.importorskip("mujoco")
    job = _Job("one_leg_low", ExecutionSettings(mode="rtc"), 50.0, (7,), max_ticks=6)
    row = _row(job, _run_job(job))
    assert (row["execution"], row["episodes"], row["success %"]) == ("rtc", 1, 0.0)
    assert row["queries per s"] == pytest.approx(2 / 0.6)
