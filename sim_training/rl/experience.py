# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a filled rollout buffer to the table that the PPO epochs draw from.

Legend: M chunk steps, N environments, C = M N chunks, K fine-tuned transitions, H chunk length,
A action size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sim_training.algorithms.config import DppoConfig
from sim_training.networks.critic import StateCritic
from sim_training.networks.observation import TensorObservation, split
from sim_training.rl.buffers import RolloutBuffer
from sim_training.rl.reward_scaling import RunningRewardScaling
from sim_training.rl.targets import ReturnInputs, gae

_VALUE_BATCH = 16384
_IMAGE_VALUE_BATCH = 512


@dataclass(frozen=True)
class Experience:
    """An iteration flattened over chunks.

    Attributes:
        observation: C rows.
        chain: (C, K+1, H, A).
        log_prob: (C, K) under the acting network.
        advantage: (C,).
        returns: (C,).
        value: (C,) before the update.
    """

    observation: TensorObservation
    chain: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    value: Tensor


@torch.no_grad()
def make_experience(
    buffer: RolloutBuffer, critic: StateCritic, scaling: RunningRewardScaling, config: DppoConfig
) -> Experience:
    """Value every chunk once and return advantages and returns with the chunks.

    Args:
        buffer: a completed rollout.
        critic: values before the update.
        scaling: running statistics; takes in this iteration's rewards.
        config: discounts, reward scaling and what a time limit means.
    """
    steps, n_envs = buffer.reward.shape
    flat = {name: value.flatten(0, 1) for name, value in buffer.observation.items()}
    values = values_of(critic, flat).view(steps + 1, n_envs)
    final = torch.zeros(steps * n_envs, device=values.device)
    if config.truncation == "bootstrap" and buffer.final.rows:
        rows = torch.tensor(buffer.final.rows, device=values.device)
        final[rows] = values_of(critic, buffer.final.stacked())
    rewards = buffer.reward
    if config.reward_scale_running:
        rewards = scaling(rewards, buffer.first)
    inputs = ReturnInputs(
        rewards=rewards * config.reward_scale_const,
        values=values[:-1],
        last_values=values[-1],
        terminated=buffer.terminated,
        truncated=buffer.truncated,
        final_values=final.view(steps, n_envs),
    )
    advantage, returns = gae(inputs, config.gamma, config.gae_lambda, config.truncation)
    return Experience(
        observation={name: value[: steps * n_envs] for name, value in flat.items()},
        chain=buffer.chain.flatten(0, 1),
        log_prob=buffer.log_prob.flatten(0, 1),
        advantage=advantage.flatten(),
        returns=returns.flatten(),
        value=values[:-1].flatten(),
    )


@torch.no_grad()
def values_of(critic: StateCritic, observation: TensorObservation) -> Tensor:
    """Return V of many observations, in parts that fit in memory."""
    rows = _IMAGE_VALUE_BATCH if "rgb" in observation else _VALUE_BATCH
    return torch.cat([critic(part) for part in split(observation, rows)])
