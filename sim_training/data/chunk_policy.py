# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trained policy as a plain function of raw observations, for recording (imports torch)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from sim_training.policy_loading import load_policy


class TrainedChunkPolicy:
    """Deterministic chunks of a checkpoint; the initial noise comes from one seeded stream."""

    def __init__(self, path: Path, task: str, seed: int) -> None:
        """Load the policy.

        Args:
            path: run directory or checkpoint folder.
            task: the task that is being recorded.
            seed: of the initial noise.

        Raises:
            ConfigError: the policy is for another task or needs an observation history.
        """
        loaded = load_policy(path)
        self._policy, self._header = loaded.policy, loaded.header
        if self._header.task != task:
            raise ConfigError(f"{path} was trained on {self._header.task!r}, not on {task!r}")
        if self._header.shape.cond_steps != 1:
            raise ConfigError(
                f"{path} stacks {self._header.shape.cond_steps} observations; recording with a "
                "policy supports cond_steps 1"
            )
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map raw observations (m, Do) to raw chunks (m, act_steps, A)."""
        header = self._header
        state = header.observation_normalizer.normalize(observations, clip=header.observation_clip)
        noise = self._policy.draw_noise(len(observations), self._generator)
        seen = {"state": torch.from_numpy(state.astype(np.float32))[:, None]}
        chunk = self._policy.act(seen, noise)
        actions = header.action_normalizer.denormalize(chunk[:, : header.shape.act_steps].numpy())
        return np.asarray(actions, dtype=np.float32)
