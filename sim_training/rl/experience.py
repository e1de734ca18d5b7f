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
from sim_training.distributed import ALONE, World
from sim_training.networks.augmentation import random_shift
from sim_training.networks.critic import StateCritic
from sim_training.networks.observation import TensorObservation, split, take
from sim_training.policies.protocol import LogProbReduction, Policy
from sim_training.rl.buffers import RolloutBuffer
from sim_training.rl.reward_scaling import RunningRewardScaling
from sim_training.rl.targets import ReturnInputs, gae
from sim_training.share import Share

_VALUE_BATCH = 16384
_IMAGE_BATCH = 512


@dataclass(frozen=True)
class Experience:
    """An iteration flattened over chunks; chunk m N + n is step m of environment n.

    With several processes each holds the large tables of its own environments only, but the small
    ones of all, so that every process sees the same advantages in a minibatch.

    Attributes:
        observation: rows of this process.
        chain: (rows, K+1, H, A).
        log_prob: (rows, K) under the acting network.
        advantage: (C,).
        returns: (C,).
        value: (C,) before the update.
        share: which of the N environments this process holds.
    """

    observation: TensorObservation
    chain: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    value: Tensor
    share: Share

    def own(self, chunks: Tensor) -> tuple[Tensor | slice, Tensor]:
        """Return which of some chunks this process holds, and the rows where it holds them."""
        share = self.share
        if share.is_whole:
            return slice(None), chunks
        env = chunks % share.total - share.first
        kept = (env >= 0) & (env < share.count)
        return kept, (chunks // share.total * share.count + env)[kept]


@torch.no_grad()
def shift_images(
    buffer: RolloutBuffer,
    policy: Policy,
    reduction: LogProbReduction,
    pad: int,
    generator: torch.Generator,
    share: Share | None = None,
) -> None:
    """Shift the images of a rollout once and take its log-probabilities anew.

    Values, old log-probabilities and all epochs then see the same shifted images, so the ratio
    starts at one; the observation after the last step stays as it is. This is what the reference
    does. It treats actions as drawn under the shifted images although they were drawn under the
    true ones; shifting before acting would avoid that, but then the robot acts on worse images.

    Args:
        buffer: a completed rollout with images; changed in place.
        policy: the one that acted.
        reduction: from log-densities to one number per transition.
        pad: largest shift in pixels.
        generator: source of the shifts.
        share: which of the run's environments these are; None: all.
    """
    rgb = buffer.observation["rgb"]
    for m in range(len(buffer.reward)):
        rgb[m] = random_shift(rgb[m], pad, generator, policy.shape.cameras, share)
    flat = {name: value[:-1].flatten(0, 1) for name, value in buffer.observation.items()}
    chain, log_prob = buffer.chain.flatten(0, 1), buffer.log_prob.flatten(0, 1)
    for start in range(0, len(chain), _IMAGE_BATCH):
        rows = slice(start, start + _IMAGE_BATCH)
        seen, part = take(flat, rows), chain[rows]
        for position in range(log_prob.shape[1]):
            index = torch.full((len(part),), position, device=part.device)
            log_prob[rows, position] = policy.log_prob(
                seen, part[:, position], part[:, position + 1], index, reduction
            )


@torch.no_grad()
def make_experience(
    buffer: RolloutBuffer,
    critic: StateCritic,
    scaling: RunningRewardScaling,
    config: DppoConfig,
    world: World = ALONE,
) -> Experience:
    """Value every chunk once and return advantages and returns with the chunks.

    Args:
        buffer: a completed rollout.
        critic: values before the update.
        scaling: running statistics; takes in this iteration's rewards.
        config: discounts, reward scaling and what a time limit means.
        world: the processes that hold the other environments.
    """
    steps, n_envs = buffer.reward.shape
    flat = {name: value.flatten(0, 1) for name, value in buffer.observation.items()}
    values = values_of(critic, flat).view(steps + 1, n_envs)
    final = torch.zeros(steps * n_envs, device=values.device)
    needed = config.truncation == "bootstrap" or bool(buffer.failed.any())
    if needed and buffer.final.rows:
        rows = torch.tensor(buffer.final.rows, device=values.device)
        final[rows] = values_of(critic, buffer.final.stacked())
    values = world.gather_columns(values)
    rewards = world.gather_columns(buffer.reward)
    if config.reward_scale_running:
        rewards = scaling(rewards, world.gather_columns(buffer.first))
    inputs = ReturnInputs(
        rewards=rewards * config.reward_scale_const,
        values=values[:-1],
        last_values=values[-1],
        terminated=world.gather_columns(buffer.terminated),
        truncated=world.gather_columns(buffer.truncated),
        final_values=world.gather_columns(final.view(steps, n_envs)),
        failed=world.gather_columns(buffer.failed),
    )
    advantage, returns = gae(inputs, config.gamma, config.gae_lambda, config.truncation)
    return Experience(
        observation={name: value[: steps * n_envs] for name, value in flat.items()},
        chain=buffer.chain.flatten(0, 1),
        log_prob=buffer.log_prob.flatten(0, 1),
        advantage=advantage.flatten(),
        returns=returns.flatten(),
        value=values[:-1].flatten(),
        share=world.share(n_envs * world.size),
    )


@torch.no_grad()
def values_of(critic: StateCritic, observation: TensorObservation) -> Tensor:
    """Return V of many observations, in parts that fit in memory."""
    rows = _IMAGE_BATCH if "rgb" in observation else _VALUE_BATCH
    return torch.cat([critic(part) for part in split(observation, rows)])
