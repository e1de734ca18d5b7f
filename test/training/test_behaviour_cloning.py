# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The behaviour-cloning term of a diffusion policy against its closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sim_training.algorithms.config import DppoConfig
from sim_training.algorithms.policy_objective import PolicyObjective
from sim_training.diffusion.config import DiffusionConfig
from sim_training.networks.config import DiffusionMlpConfig, GaussianConfig
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.make import make_policy
from sim_training.policies.protocol import LogProbReduction

SHAPE = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=3, act_steps=2)


class ConstantNoise(nn.Module):
    """A noise predictor that always says the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: Tensor, time: Tensor, observation: TensorObservation) -> Tensor:
        return self.value.expand_as(x)

    def prepare(
        self, observation: TensorObservation, times: Tensor
    ) -> Callable[[int, Tensor], Tensor]:
        return lambda position, x: self.value.expand_as(x)


def test_behaviour_cloning_of_a_chain_is_the_cross_entropy_of_its_steps() -> None:
    """Two last DDPM steps of five, noise predictions 0 and 0.6, deviation 0.5 at both.

    A step of DDPM moves the mean by beta / sqrt(alpha (1 - alpha_bar)) times the difference of the
    predictions. Per entry the loss is the mean of the negative log-density, at most 5 each.
    """
    chain = DiffusionConfig(
        denoising_steps=5,
        ft_denoising_steps=2,
        denoised_clip_value=1e4,
        randn_clip_value=100.0,
        min_sampling_denoising_std=0.5,
        min_logprob_denoising_std=0.5,
    )
    policy = make_policy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), chain, GaussianConfig(), SHAPE)
    policy.start_finetuning()
    tuned = ConstantNoise(0.6)
    policy.base, policy.actor_ft = ConstantNoise(0.0), tuned  # type: ignore[assignment]
    objective = PolicyObjective(DppoConfig(), policy, LogProbReduction(2), torch.Generator(), "cpu")
    observation = {"state": torch.zeros(20_000, 1, 3)}
    noise = policy.draw_noise(20_000, torch.Generator().manual_seed(0))
    first, second = 0.1012941, 0.2795438
    shifts = (
        0.6 * first / math.sqrt((1 - first) * first),
        0.6 * second / math.sqrt((1 - second) * (1 - (1 - first) * (1 - second))),
    )
    z = np.linspace(-8.0, 8.0, 16_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    constant = math.log(0.5) + 0.5 * math.log(2 * math.pi)
    terms = [constant + (z + shift / 0.5) ** 2 / 2 for shift in shifts]
    exact = sum(float(np.sum(density * np.minimum(term, 5.0))) for term in terms) / 2
    assert exact - (constant + 0.5) > 0.1
    loss = objective.behaviour_cloning(observation, noise)
    assert float(loss.detach()) == pytest.approx(exact, abs=0.01)
    # The cross-entropy is least where both predict the same: it grows with the difference.
    loss.backward()
    assert tuned.value.grad is not None and float(tuned.value.grad) > 0.1
