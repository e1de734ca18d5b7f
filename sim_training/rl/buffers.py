# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rollout storage, allocated once on the training device; images stay bytes.

Legend: M chunk steps, N environments, To stacked observations, Do observation size,
K fine-tuned transitions, H chunk length, A action size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sim_training.networks.observation import TensorObservation, concatenate, take
from sim_training.networks.shape import PolicyShape


@dataclass
class FinalObservations:
    """True last observations of truncated episodes, which values are bootstrapped from."""

    rows: list[int] = field(default_factory=list)
    observations: list[TensorObservation] = field(default_factory=list)

    def add(self, row: int, observation: TensorObservation, chosen: Tensor) -> None:
        """Take in the chosen environments of one chunk step.

        Args:
            row: m N, so that row + n is the place in a flattened (M, N).
            observation: N rows.
            chosen: (n,) environments.
        """
        self.rows.extend((row + chosen).tolist())
        self.observations.append(take(observation, chosen))

    def clear(self) -> None:
        """Forget everything."""
        self.rows.clear()
        self.observations.clear()

    def stacked(self) -> TensorObservation:
        """Return all of them, in the order of `rows`."""
        return concatenate(self.observations)


@dataclass(frozen=True)
class RolloutBuffer:
    """One iteration of experience.

    Attributes:
        observation: each (M+1, N, ...); the last row is the observation after the last step.
        final: true last observations of truncated episodes.
        chain: (M, N, K+1, H, A).
        log_prob: (M, N, K) reduced log-probabilities under the acting network.
        reward: (M, N) raw.
        terminated: (M, N) bool.
        truncated: (M, N) bool.
        failed: (M, N) bool, truncated because the simulator failed, not by the time limit.
        first: (M, N) bool, step m begins an episode.
    """

    observation: TensorObservation
    final: FinalObservations
    chain: Tensor
    log_prob: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    failed: Tensor
    first: Tensor


def make_rollout_buffer(
    n_steps: int, n_envs: int, shape: PolicyShape, positions: int, device: torch.device | str
) -> RolloutBuffer:
    """Return zeroed storage for M steps of N environments and K transitions per chunk."""
    states = (n_steps + 1, n_envs, shape.cond_steps, shape.obs_dim)
    observation = {"state": torch.zeros(states, device=device)}
    if shape.cameras:
        images = (n_steps + 1, n_envs, *shape.image_shape)
        observation["rgb"] = torch.zeros(images, dtype=torch.uint8, device=device)
    chunk = (shape.horizon_steps, shape.action_dim)
    flags = torch.zeros(n_steps, n_envs, dtype=torch.bool, device=device)
    return RolloutBuffer(
        observation=observation,
        final=FinalObservations(),
        chain=torch.zeros(n_steps, n_envs, positions + 1, *chunk, device=device),
        log_prob=torch.zeros(n_steps, n_envs, positions, device=device),
        reward=torch.zeros(n_steps, n_envs, device=device),
        terminated=flags.clone(),
        truncated=flags.clone(),
        failed=flags.clone(),
        first=flags.clone(),
    )
