# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted expert of the round table at work."""

from __future__ import annotations

import numpy as np
import pytest

from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.round_table.expert import expert_actions
from sim_training.envs.furniture.round_table.expert_view import decode
from sim_training.envs.furniture.tasks import FurnitureConfig


def test_the_expert_assembles_the_round_table() -> None:
    """One medium episode: reward 1 per pair, nearly every phase, well within the time limit."""
    env = make_mujoco_env(FurnitureConfig(name="round_table", randomness="med"), 1)
    observation = env.reset(np.array([0]), np.array([2]))
    assert observation.shape == (1, 44)
    rewards, phases = [], [0]
    for _ in range(600):
        actions = expert_actions(observation)
        outcome = env.step(actions, np.array([True]))
        observation = outcome.observation
        rewards.append(float(outcome.reward[0]))
        phases.append(int(outcome.info["phase"][0]))
        if outcome.terminated[0]:
            break
    assert outcome.info["success"][0]
    assert [reward for reward in rewards if reward] == [1.0, 1.0]
    assert sorted(phases) == phases
    assert set(phases) >= {0, 1, 2, 3, 5, 6, 9}


@pytest.mark.parametrize("randomness", ["low", "med"])
def test_the_expert_is_a_function_of_the_observation(randomness: str) -> None:
    """The same observations in another order give the same actions, within the carrot's bounds."""
    config = FurnitureConfig(name="round_table", randomness=randomness)  # type: ignore[arg-type]
    env = make_mujoco_env(config, 4)
    observation = env.reset(np.arange(4), np.arange(4))
    for _ in range(3):
        actions = expert_actions(observation)
        np.testing.assert_array_equal(expert_actions(observation[::-1])[::-1], actions)
        tools = np.stack([decode(row).tool for row in observation])
        assert np.linalg.norm(actions[:, :3] - tools, axis=-1).max() < 0.0601
        observation = env.step(actions, np.ones(4, dtype=bool)).observation
