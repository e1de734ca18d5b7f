# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rollout storage, allocated once, float32 on the training device.

Legend: M chunk steps, N environments, To stacked observations, Do observation size,
K fine-tuned denoising steps, H chunk length, A action size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sim_training.diffusion.policy import PolicyShape


@dataclass(frozen=True)
class RolloutBuffer:
    """One iteration of experience.

    Attributes:
        state: (M+1, N, To, Do); the last row is the observation after the last step.
        final_state: (M, N, To, Do) true last observations; rows valid where an episode ended.
        chain: (M, N, K+1, H, A).
        log_prob: (M, N, K) reduced log-probabilities under the acting network.
        reward: (M, N) raw.
        terminated: (M, N) bool.
        truncated: (M, N) bool.
        first: (M, N) bool, step m begins an episode.
    """

    state: Tensor
    final_state: Tensor
    chain: Tensor
    log_prob: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    first: Tensor


def make_rollout_buffer(
    n_steps: int, n_envs: int, shape: PolicyShape, ft_steps: int, device: torch.device | str
) -> RolloutBuffer:
    """Return zeroed storage for M steps of N environments."""
    states = (n_envs, shape.cond_steps, shape.obs_dim)
    chunk = (shape.horizon_steps, shape.action_dim)
    flags = torch.zeros(n_steps, n_envs, dtype=torch.bool, device=device)
    return RolloutBuffer(
        state=torch.zeros(n_steps + 1, *states, device=device),
        final_state=torch.zeros(n_steps, *states, device=device),
        chain=torch.zeros(n_steps, n_envs, ft_steps + 1, *chunk, device=device),
        log_prob=torch.zeros(n_steps, n_envs, ft_steps, device=device),
        reward=torch.zeros(n_steps, n_envs, device=device),
        terminated=flags.clone(),
        truncated=flags.clone(),
        first=flags.clone(),
    )
