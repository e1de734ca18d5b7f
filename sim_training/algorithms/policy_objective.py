# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of the policy: clipped PPO over denoising steps, entropy bonus, behaviour cloning.

Legend: C chunks, K fine-tuned transitions of a chunk, P pairs (chunk, position) of a minibatch.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from sim_training.algorithms.config import DppoConfig
from sim_training.networks.mixed_precision import Bf16Gradients
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
    """The loss of some pairs, or of those among them that this process holds.

    Every mean counts with the share of the rows that are here, so that the sum over all processes
    is the mean over all rows.

    Attributes:
        total: what is minimised (a scalar).
        policy: the PPO term with its diagnostics per pair.
        position: (P,) positions of these pairs.
        behaviour_cloning: that term before its weight (a scalar); None where it is off.
    """

    total: Tensor
    policy: PolicyLoss
    position: Tensor
    behaviour_cloning: Tensor | None


@dataclass(frozen=True)
class BackwardResult:
    """What is left of a minibatch, as far as this process holds it, after its gradients.

    Attributes:
        policy: the PPO term of its pairs.
        position: (P,) their positions.
        approx_kl: their part of the minibatch's mean divergence from the acting network.
        behaviour_cloning: their part of the mean of that term; 0 where it is off.
    """

    policy: PolicyLoss
    position: Tensor
    approx_kl: float
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
        """Add the gradient of a minibatch's mean loss, or this process's part, to the parameters.

        The minibatch is worked through in parts of `batch_size` pairs. Advantages are shaped over
        all of it and each part weighs as much as it has pairs, so the gradient does not depend on
        how many parts there are.

        Args:
            experience: one iteration.
            pairs: (P,) numbers chunk * K + position.
        """
        advantages = self.advantages(experience, pairs)
        nothing = advantages.new_zeros(0)
        results = [(PolicyLoss(nothing.sum(), nothing, nothing, nothing), 0.0)]
        positions, cloning = [pairs[:0]], 0.0
        size = self.config.batch_size
        for part, shaped in zip(pairs.split(size), advantages.split(size), strict=True):
            with self._precision():
                objective = self.loss(experience, part, shaped)
            if objective is None:
                continue
            share = len(part) / len(pairs)
            (objective.total * share).backward()
            results.append((objective.policy.detached(), share))
            positions.append(objective.position)
            if objective.behaviour_cloning is not None:
                cloning += share * float(objective.behaviour_cloning.detach())
        policy = PolicyLoss.joined(results)
        approx_kl = float(policy.kl.sum()) / len(pairs)
        return BackwardResult(policy, torch.cat(positions), approx_kl, cloning)

    def _precision(self) -> AbstractContextManager[object]:
        if self.config.precision == "bf16_gradients":
            return Bf16Gradients()
        if self.config.precision == "bf16":
            return torch.autocast(torch.device(self._device).type, dtype=torch.bfloat16)
        return nullcontext()

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

    def loss(self, experience: Experience, pairs: Tensor, advantages: Tensor) -> Objective | None:
        """Return the mean loss of pairs with given advantages (P,); None if none of them is here.

        Behaviour cloning takes one observation per K pairs, so it costs as many network rows as
        the policy loss.
        """
        config, cloned = self.config, pairs[:: self.positions] // self.positions
        noise = None
        if config.bc_loss_coeff > 0:
            noise = self.policy.draw_noise(len(cloned), self._generator).to(self._device)
        kept, rows = experience.own(pairs // self.positions)
        if not len(rows):
            return None
        position = pairs[kept] % self.positions
        observation = take(experience.observation, rows)
        new = self.policy.log_prob(
            observation,
            experience.chain[rows, position],
            experience.chain[rows, position + 1],
            position,
            self.reduction,
        )
        old = experience.log_prob[rows, position]
        here = len(rows) / len(pairs)
        result = ppo_policy_loss(new, old, advantages[kept], self._clip[position]).scaled(here)
        total, cloning = result.loss, None
        if config.ent_coef > 0:
            total = total - config.ent_coef * here * self.policy.entropy(observation)
        if noise is not None:
            kept, rows = experience.own(cloned)
            cloning = total.new_zeros(())
            if len(rows):
                mean = self.behaviour_cloning(take(experience.observation, rows), noise[kept])
                cloning = mean * (len(rows) / len(cloned))
            total = total + config.bc_loss_coeff * cloning
        return Objective(total, result, position, cloning)

    def behaviour_cloning(self, observation: TensorObservation, noise: Tensor) -> Tensor:
        """Return how unlikely chains of the frozen policy are under the fine-tuned one (a scalar).

        Args:
            observation: B rows.
            noise: (B, noise_blocks, H, A) for the chains.
        """
        rows, positions = batch_size(observation), self.positions
        whole = LogProbReduction(self.policy.shape.horizon_steps)
        chain = self.policy.sample(observation, noise, whole, use_base_policy=True).chain
        index = torch.arange(positions, device=self._device).repeat(rows)
        repeated = take(
            observation, torch.arange(rows, device=self._device).repeat_interleave(positions)
        )
        before, after = chain[:, :-1].flatten(0, 1), chain[:, 1:].flatten(0, 1)
        return -self.policy.log_prob(repeated, before, after, index, whole).mean()
