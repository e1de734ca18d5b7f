# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench`: what it prints, and that its yardstick does the same physics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from sim_training.bench.config import BenchPolicyConfig, BenchSimConfig
from sim_training.bench.policy import bench_policy
from sim_training.bench.simulator import bench_sim
from sim_training.envs.furniture.bare_physics import BarePhysics
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.one_leg.expert import expert_actions
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.toy import ToyReachConfig


def test_bare_physics_repeats_the_environment_bit_for_bit() -> None:
    env = make_mujoco_env(FurnitureConfig(), 2)
    observation = env.reset(np.arange(2), np.arange(2))
    bare = BarePhysics(env)
    for _ in range(15):
        bare.remember()
        observation = env.step(expert_actions(observation), np.ones(2, dtype=bool)).observation
        bare.repeat()
    assert bare.largest_difference == 0.0
    assert bare.physics_steps == 15 * 2 * 50
    bare.repeat()
    assert bare.largest_difference > 0.0


def test_simulator_speed_and_its_share_of_plain_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_sim(BenchSimConfig(n_envs=2, env_threads=1, n_steps=10, json=True)) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["task"] == "one_leg"
    control, physics = (values[f"{name}_steps_per_s_per_core"] for name in ("control", "physics"))
    assert physics == pytest.approx(50 * control)
    share = physics / values["bare_mj_step_per_s_per_core"]
    assert values["share_of_bare_mj_step"] == pytest.approx(share)
    assert values["one_thread_overhead_over_bare"] == pytest.approx(1 / share - 1)
    assert values["speedup_by_threads"] == 1.0


def test_threads_run_the_same_episodes_beside_one_thread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench_sim(BenchSimConfig(n_envs=3, env_threads=2, n_steps=8, json=True)) == 0
    values = json.loads(capsys.readouterr().out)
    gain = values["control_steps_per_s"] / values["one_thread_control_steps_per_s"]
    assert values["speedup_by_threads"] == pytest.approx(gain)
    assert values["one_thread_overhead_over_bare"] > -0.5


def test_tasks_without_physics_have_no_yardstick(capsys: pytest.CaptureFixture[str]) -> None:
    """More steps than an episode has: episodes start anew."""
    bench_sim(BenchSimConfig(ToyReachConfig(), n_envs=2, n_steps=60, json=True))
    values = json.loads(capsys.readouterr().out)
    assert values["control_steps_per_s"] > 0
    assert not any("physics" in name or "bare" in name for name in values)


def test_unusable_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n_steps is 0"):
        bench_sim(BenchSimConfig(n_steps=0))
    with pytest.raises(ConfigError, match="n_calls is 0"):
        bench_policy(BenchPolicyConfig(bundles=(tmp_path,), n_calls=0))
