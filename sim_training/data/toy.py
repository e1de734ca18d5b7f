# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the toy task, good or deliberately weak."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim_training.checks import require_at_least
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv, scripted_action


@dataclass(frozen=True)
class ToyGenerateConfig:
    """Record demonstrations of the toy task."""

    episodes: int = 100
    """How many to record."""
    seed: int = 0
    """Episode i starts from a seed that follows from this one and i; the same seed gives the same
    data."""
    noise_m: float = 0.005
    """Standard deviation of the target noise; larger makes worse demonstrations."""
    out: Path = Path("data/toy_reach")
    """Dataset folder."""
    overwrite: bool = False
    """Replace what is there."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        require_at_least(1, self, "episodes")
        require_at_least(0, self, "seed", "noise_m")


def generate_toy(config: ToyGenerateConfig) -> Path:
    """Write a toy dataset and return its folder."""
    task = ToyReachConfig()
    dataset = toy_demonstrations(task, config.episodes, config.seed, config.noise_m)
    return write_dataset(config.out, dataset, config.overwrite)


def toy_demonstrations(
    config: ToyReachConfig, episodes: int, seed: int, noise_m: float = 0.005
) -> EpisodeDataset:
    """Return demonstrations of the scripted reacher.

    Args:
        config: the task.
        episodes: how many.
        seed: of starts and noise; episode i starts from seed + i.
        noise_m: standard deviation of the target noise; larger makes worse demonstrations.
    """
    env = ToyReachEnv(config, episodes)
    rng = np.random.default_rng(seed)
    observation = env.reset(np.arange(episodes), seed + np.arange(episodes))
    active = np.ones(episodes, dtype=bool)
    states, actions, alive = [], [], []
    success = np.zeros(episodes, dtype=bool)
    while active.any():
        action = scripted_action(observation, config.max_step_m, rng, noise_m)
        states.append(observation.copy())
        actions.append(action)
        alive.append(active.copy())
        outcome = env.step(action, active)
        observation = outcome.observation
        success |= outcome.info["success"]
        active = active & ~outcome.terminated & ~outcome.truncated
    mask = np.stack(alive, axis=1)
    metadata = {
        "name": "toy_reach",
        "task": "toy_reach",
        "fps": env.control_rate_hz,
        "seeds": [seed + i for i in range(episodes)],
        "success": success.tolist(),
        "generator": f"toy_demonstrations(episodes={episodes}, seed={seed}, noise_m={noise_m})",
    }
    return EpisodeDataset(
        states=np.stack(states, axis=1)[mask],
        actions=np.stack(actions, axis=1)[mask],
        traj_lengths=mask.sum(axis=1).astype(np.int64),
        observation_spec=env.observation_spec,
        action_spec=env.action_spec,
        metadata=metadata,
    )
