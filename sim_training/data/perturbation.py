# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ways to lead the memoryless expert off its path while demonstrations are recorded.

Whatever a perturbation executes is not recorded; the expert's way back is. Random pushes cover
the neighbourhood of the expert's path. Bursts of a policy cover the states that this policy
really gets into (dataset aggregation, Ross et al. 2011), the mistakes it has to learn to mend.

NumPy only; the policy itself is behind ``ChunkPolicy``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import split_action
from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_6d_from_matrix

Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


class Perturbation(Protocol):
    """Replaces some actions of the expert."""

    def apply(
        self, observations: Float32Array, actions: Float32Array, active: BoolArray
    ) -> tuple[Float32Array, BoolArray]:
        """Actions to execute and which environments were perturbed.

        Args:
            observations: (n_envs, Do) raw.
            actions: (n_envs, A) of the expert, raw.
            active: (n_envs,).
        """
        ...

    def restart(self, env_id: int) -> None:
        """Begin a new episode in one environment."""
        ...


class Undisturbed:
    """The expert all the way."""

    def apply(
        self, observations: Float32Array, actions: Float32Array, active: BoolArray
    ) -> tuple[Float32Array, BoolArray]:
        """Change nothing."""
        return actions, np.zeros(len(actions), dtype=bool)

    def restart(self, env_id: int) -> None:
        """Nothing to forget."""


class RandomPushes:
    """A constant offset of the tool goal for a few steps, at random times."""

    def __init__(
        self, rate: float, translation_m: float, rotation_rad: float, n_envs: int, seed: int
    ) -> None:
        """Prepare one stream of random numbers.

        Args:
            rate: chance per control step that a push begins.
            translation_m: largest offset along each axis.
            rotation_rad: largest turn about each axis.
            n_envs: environments.
            seed: of the stream.
        """
        self._rate, self._reach = rate, (translation_m, rotation_rad)
        self._rng = np.random.default_rng([seed, 7])
        self._remaining = np.zeros(n_envs, dtype=np.int64)
        self._shift = np.zeros((n_envs, 3))
        self._turn = np.zeros((n_envs, 3))

    def apply(
        self, observations: Float32Array, actions: Float32Array, active: BoolArray
    ) -> tuple[Float32Array, BoolArray]:
        """Offset the goals of the environments that are being pushed."""
        rng, n_envs = self._rng, len(actions)
        begins = (self._remaining == 0) & (rng.random(n_envs) < self._rate)
        self._remaining[begins] = rng.integers(2, 8, n_envs)[begins]
        shift = rng.uniform(-1, 1, (n_envs, 3)) * self._reach[0]
        turn = rng.uniform(-1, 1, (n_envs, 3)) * self._reach[1]
        self._shift[begins], self._turn[begins] = shift[begins], turn[begins]
        pushed = (self._remaining > 0) & active
        self._remaining[pushed] -= 1
        executed = actions.copy()
        position, rotation, _ = split_action(actions[pushed])
        executed[pushed, :3] = position + self._shift[pushed]
        turned = matrix_from_rotation_vector(self._turn[pushed]) @ rotation
        executed[pushed, 3:9] = rotation_6d_from_matrix(turned)
        return executed, pushed

    def restart(self, env_id: int) -> None:
        """Let a push that is under way run on into the new episode."""


class ChunkPolicy(Protocol):
    """A policy as a function from raw observations to raw action chunks."""

    def __call__(self, observations: Float32Array) -> Float32Array:
        """Map (m, Do) to (m, act_steps, A)."""
        ...


class PolicyBursts:
    """Lets a policy drive for some chunks at random times, also from the start of episodes."""

    def __init__(
        self, policy: ChunkPolicy, rate: float, max_chunks: int, n_envs: int, seed: int
    ) -> None:
        """Prepare one stream of random numbers.

        Args:
            policy: drives during the bursts.
            rate: chance per control step that a burst begins.
            max_chunks: longest burst, in chunks.
            n_envs: environments.
            seed: of the stream.
        """
        self._policy, self._rate, self._max_chunks = policy, rate, max_chunks
        self._rng = np.random.default_rng([seed, 11])
        self._queue: list[list[Float32Array]] = [[] for _ in range(n_envs)]
        self._chunks = np.zeros(n_envs, dtype=np.int64)
        for env_id in range(n_envs):
            self.restart(env_id)

    def restart(self, env_id: int) -> None:
        """Forget the running burst; half of the episodes begin with one."""
        self._queue[env_id] = []
        begins = self._rng.random() < 0.5
        self._chunks[env_id] = self._rng.integers(1, self._max_chunks + 1) if begins else 0

    def apply(
        self, observations: Float32Array, actions: Float32Array, active: BoolArray
    ) -> tuple[Float32Array, BoolArray]:
        """Take the policy's actions where a burst is running."""
        n_envs = len(actions)
        idle = (self._chunks == 0) & [not queue for queue in self._queue]
        begins = idle & (self._rng.random(n_envs) < self._rate)
        lengths = self._rng.integers(1, self._max_chunks + 1, n_envs)
        self._chunks[begins] = lengths[begins]
        asking = [
            env_id
            for env_id in np.flatnonzero(active & (self._chunks > 0))
            if not self._queue[env_id]
        ]
        if asking:
            for env_id, chunk in zip(asking, self._policy(observations[asking]), strict=True):
                self._queue[env_id] = list(chunk)
                self._chunks[env_id] -= 1
        executed, driven = actions.copy(), np.zeros(n_envs, dtype=bool)
        for env_id in np.flatnonzero(active):
            if self._queue[env_id]:
                executed[env_id] = self._queue[env_id].pop(0)
                driven[env_id] = True
        return executed, driven
