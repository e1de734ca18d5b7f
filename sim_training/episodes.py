# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a fixed list of episodes with any policy, whatever it is stored as. NumPy only.

Episode i starts from its own seed and draws its denoising noise from a generator of its own, so the
result does not depend on how many environments run side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from sim_training.envs.chunk import ChunkEnv
from sim_training.envs.protocol import (
    BoolArray,
    ChunkStep,
    Float32Array,
    IntArray,
    Observation,
)
from sim_training.evaluation_result import Episode

Act: TypeAlias = Callable[[Observation, IntArray], Float32Array]
"""From what n environments observe and the seeds (n,) of their episodes to chunks (n, h, A).

An episode that is repeated, because a simulator lost it, comes with its seed plus a multiple of
`REPETITION`, so that it can be told from the one that was lost.
"""

REPETITION = 2**40
"""More than any seed."""


class EpisodeNoise:
    """Denoising noise per episode: a function of the episode's seed and the chunk's number."""

    def __init__(self, shape: tuple[int, ...], n_envs: int) -> None:
        """Prepare n generators for noise blocks of one shape, such as (n+1, H, A)."""
        self._shape = shape
        self._seeds = [-1] * n_envs
        self._generators = [np.random.default_rng(0) for _ in range(n_envs)]

    def draw(self, seeds: IntArray) -> Float32Array:
        """Return (n_envs, *shape); an environment whose seed changed starts a new sequence."""
        blocks = []
        for index, seed in enumerate(seeds):
            if int(seed) != self._seeds[index]:
                self._seeds[index] = int(seed)
                self._generators[index] = np.random.default_rng([int(seed) % REPETITION, 1])
            blocks.append(self._generators[index].standard_normal(self._shape, dtype=np.float32))
        return np.stack(blocks)


def run_episodes(
    env: ChunkEnv,
    act: Act,
    n_episodes: int,
    on_step: Callable[[ChunkStep], None] | None = None,
) -> tuple[Episode, ...]:
    """Run an environment until its seed list is used up; return the episodes, by seed.

    Args:
        env: must have been made with a `SeedList` of n_episodes seeds.
        act: the policy.
        n_episodes: number of episodes to expect.
        on_step: called after every chunk.
    """
    observation = env.reset()
    episodes: list[Episode] = []
    repeated = np.zeros(env.n_envs, dtype=np.int64)
    while len(episodes) < n_episodes:
        outcome = env.step(act(observation, env.seed_of + REPETITION * repeated))
        observation = outcome.observation
        episodes.extend(_finished(outcome))
        repeated = np.where(outcome.ended, (repeated + 1) * _lost(outcome), repeated)
        if on_step is not None:
            on_step(outcome)
    return tuple(sorted(episodes, key=lambda e: e.seed))


def _finished(outcome: ChunkStep) -> list[Episode]:
    info = outcome.info
    return [
        Episode(
            seed=int(info["seed"][i]),
            success=bool(info["success"][i]),
            phase=int(info["phase"][i]),
            steps=int(info["episode_steps"][i]),
            reward=float(info["episode_reward"][i]),
        )
        for i in np.flatnonzero(outcome.ended & ~_lost(outcome))
    ]


def _lost(outcome: ChunkStep) -> BoolArray:
    """(n_envs,) the simulator failed and took the episode with it; it will be run again."""
    none = np.zeros(len(outcome.ended), dtype=bool)
    return np.asarray(outcome.info.get("lost", none), dtype=bool)
