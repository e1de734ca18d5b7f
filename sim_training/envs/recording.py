# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A `StepEnv` that keeps what passes through it: raw observations, actions, rewards, ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepEnv, StepOutcome


@dataclass(frozen=True)
class RecordedEpisode:
    """One episode, or the part of it that was run (L control steps).

    Attributes:
        seed: it was started with.
        states: (L, Do) float32, raw; the observation before each action.
        actions: (L, A) float32, raw.
        rewards: (L,) float32.
        terminated: the task ended it.
        finished: it ended; False for an episode still running when the recording stopped.
    """

    seed: int
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    terminated: bool
    finished: bool

    @property
    def total_reward(self) -> float:
        """Sum of the rewards."""
        return float(self.rewards.sum(dtype=np.float64))


class RecordingEnv:
    """Passes everything through and remembers it, whatever drives the environment."""

    def __init__(self, env: StepEnv, action_limit: float | None = None) -> None:
        """Wrap an environment.

        Args:
            env: environment to record.
            action_limit: actions are clipped to plus/minus this before they are passed on and
                recorded; None leaves them.
        """
        self.env = env
        self.name, self.n_envs = env.name, env.n_envs
        self.observation_spec, self.action_spec = env.observation_spec, env.action_spec
        self.max_episode_steps = env.max_episode_steps
        self.control_rate_hz = env.control_rate_hz
        self.episodes: list[RecordedEpisode] = []
        self.frames = 0
        self._limit = action_limit
        self._observation = np.zeros((env.n_envs, env.observation_spec.dim), dtype=np.float32)
        self._seed = np.zeros(env.n_envs, dtype=np.int64)
        self._running: list[list[tuple[Float32Array, Float32Array, float]]] = [
            [] for _ in range(env.n_envs)
        ]

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Milestones of the task in order."""
        return self.env.phase_names

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start new episodes; an unfinished one is kept as it is."""
        for index in env_ids:
            self._keep(int(index), terminated=False, finished=False)
        observation = self.env.reset(env_ids, seeds)
        self._observation[env_ids] = observation
        self._seed[env_ids] = seeds
        return observation

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Advance the active environments and remember the step."""
        if self._limit is not None:
            actions = np.clip(actions, -self._limit, self._limit)
        outcome = self.env.step(actions, active)
        for index in np.flatnonzero(active):
            step = (self._observation[index].copy(), actions[index].copy(), outcome.reward[index])
            self._running[index].append(step)
        self.frames += int(active.sum())
        self._observation[active] = outcome.observation[active]
        for index in np.flatnonzero(active & (outcome.terminated | outcome.truncated)):
            self._keep(int(index), bool(outcome.terminated[index]), finished=True)
        return outcome

    def stop(self) -> list[RecordedEpisode]:
        """Return all episodes; those still running are cut here."""
        for index in range(self.n_envs):
            self._keep(index, terminated=False, finished=False)
        return self.episodes

    def close(self) -> None:
        """Release the recorded environment."""
        self.env.close()

    def _keep(self, index: int, terminated: bool, finished: bool) -> None:
        steps = self._running[index]
        if steps:
            states, actions, rewards = zip(*steps, strict=True)
            self.episodes.append(
                RecordedEpisode(
                    seed=int(self._seed[index]),
                    states=np.stack(states).astype(np.float32),
                    actions=np.stack(actions).astype(np.float32),
                    rewards=np.array(rewards, dtype=np.float32),
                    terminated=terminated,
                    finished=finished,
                )
            )
        self._running[index] = []
