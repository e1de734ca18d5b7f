# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of the policy: clipped PPO over denoising steps, entropy bonus, behaviour cloning.

Legend: C chunks, K fine-tuned transitions of a chunk, P pairs (chunk, position) of a minibatch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sim_training.algorithms.config import DppoConfig
from sim_training.networks.observation import TensorObservation, batch_size, take
from sim_training.policies.protocol import LogProbReduction, Policy
from sim_training.rl.experience import Experience
from sim_training.rl.targets import (
    PolicyLoss,
    clip_coefficients,
    denoising_discounts,
    ppo_policy_loss,
    shape_advantages,
)


@dataclass(frozen=True)
class Objective:
    """The loss of some pairs.

    Attributes:
        total: what is minimised (a scalar).
        policy: the PPO term with its diagnostics per pair.
        behaviour_cloning: that term before its weight (a scalar); None where it is off.
    """

    total: Tensor
    policy: PolicyLoss
    behaviour_cloning: Tensor | None


@dataclass(frozen=True)
class BackwardResult:
    """What is left of a minibatch after its gradients were added up.

    Attributes:
        policy: the PPO term of all its pairs.
        position: (P,) their positions.
        behaviour_cloning: mean of that term; 0 where it is off.
    """

    policy: PolicyLoss
    position: Tensor
    behaviour_cloning: float


class PolicyObjective:
    """Computes the policy's loss; rebuilt when K changes."""

    def __init__(
        self,
        config: DppoConfig,
        policy: Policy,
        reduction: LogProbReduction,
        generator: torch.Generator,
        device: torch.device | str,
    ) -> None:
        """Prepare the coefficients of every position.

        Args:
            config: settings of the loss.
            policy: with a fine-tuned copy.
            reduction: from log-densities to one number per pair.
            generator: source of the chains that behaviour cloning imitates.
            device: of the coefficients.
        """
        self.config = config
        self.policy = policy
        self.positions = policy.ft_positions
        self.reduction = reduction
        self._generator = generator
        self._device = device
        self._clip = clip_coefficients(
            config.clip_ploss_coef,
            config.clip_ploss_coef_base,
            config.clip_ploss_coef_rate,
            self.positions,
        ).to(device)
        self._discount = denoising_discounts(config.gamma_denoising, self.positions).to(device)

    def backward(self, experience: Experience, pairs: Tensor) -> BackwardResult:
        """Add the gradient of a minibatch's mean loss to the parameters.

        The minibatch is worked through in parts of `batch_size` pairs. Advantages are shaped over
        all of it and each part weighs as much as it has pairs, so the gradient does not depend on
        how many parts there are.

        Args:
            experience: one iteration.
            pairs: (P,) numbers chunk * K + position.
        """
        advantages = self.advantages(experience, pairs)
        results, cloning = [], 0.0
        size = self.config.batch_size
        for part, shaped in zip(pairs.split(size), advantages.split(size), strict=True):
            objective = self.loss(experience, part, shaped)
            share = len(part) / len(pairs)
            (objective.total * share).backward()
            results.append((objective.policy.detached(), share))
            if objective.behaviour_cloning is not None:
                cloning += share * float(objective.behaviour_cloning.detach())
        return BackwardResult(PolicyLoss.joined(results), pairs % self.positions, cloning)

    def advantages(self, experience: Experience, pairs: Tensor) -> Tensor:
        """Return the advantages (P,) of pairs: standardised, cut, then discounted by position."""
        config = self.config
        shaped = shape_advantages(
            experience.advantage[pairs // self.positions],
            config.norm_adv,
            config.clip_advantage_lower_quantile,
            config.clip_advantage_upper_quantile,
        )
        return shaped * self._discount[pairs % self.positions]

    def loss(self, experience: Experience, pairs: Tensor, advantages: Tensor) -> Objective:
        """Return the mean loss of pairs with given advantages (P,)."""
        chunk, position = pairs // self.positions, pairs % self.positions
        observation = take(experience.observation, chunk)
        new = self.policy.log_prob(
            observation,
            experience.chain[chunk, position],
            experience.chain[chunk, position + 1],
            position,
            self.reduction,
        )
        old = experience.log_prob[chunk, position]
        result = ppo_policy_loss(new, old, advantages, self._clip[position])
        total, cloning = result.loss, None
        if self.config.ent_coef > 0:
            total = total - self.config.ent_coef * self.policy.entropy(observation)
        if self.config.bc_loss_coeff > 0:
            cloning = self.behaviour_cloning(take(observation, slice(None, None, self.positions)))
            total = total + self.config.bc_loss_coeff * cloning
        return Objective(total, result, cloning)

    def behaviour_cloning(self, observation: TensorObservation) -> Tensor:
        """Return how unlikely chains of the frozen policy are under the fine-tuned one.

        One observation per K pairs, so it costs as many network rows as the policy loss.
        """
        rows, positions = batch_size(observation), self.positions
        whole = LogProbReduction(self.policy.shape.horizon_steps)
        noise = self.policy.draw_noise(rows, self._generator).to(self._device)
        chain = self.policy.sample(observation, noise, whole, use_base_policy=True).chain
        index = torch.arange(positions, device=self._device).repeat(rows)
        repeated = take(
            observation, torch.arange(rows, device=self._device).repeat_interleave(positions)
        )
        before, after = chain[:, :-1].flatten(0, 1), chain[:, 1:].flatten(0, 1)
        return -self.policy.log_prob(repeated, before, after, index, whole).mean()
