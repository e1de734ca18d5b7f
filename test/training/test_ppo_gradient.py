# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The DPPO policy gradient: finite differences, and a two-step policy solved by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.networks.config import DiffusionMlpConfig
from sim_training.networks.layers import PreparedSteps
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.protocol import LogProbReduction
from sim_training.rl.targets import clip_coefficients, ppo_policy_loss

SHAPE = PolicyShape(obs_dim=2, action_dim=1, cond_steps=1, horizon_steps=1, act_steps=1)
WHOLE = LogProbReduction(1, "sum", (-1e9, 1e9))
CHAIN = DiffusionConfig(
    use_ddim=True,
    ddim_steps=2,
    ft_denoising_steps=2,
    denoised_clip_value=100.0,
    final_action_clip_value=None,
    min_sampling_denoising_std=0.3,
    min_logprob_denoising_std=0.3,
    randn_clip_value=100.0,
)


class ConstantNoise(torch.nn.Module):
    """A noise predictor with one parameter: eps = parameter, whatever the input."""

    def __init__(self) -> None:
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.tensor(0.2))

    def encode_observation(self, observation: TensorObservation) -> Tensor:
        return observation["state"].flatten(1)

    def encode_time(self, time: Tensor) -> Tensor:
        return time.unsqueeze(-1).float()

    def denoise(self, x: Tensor, time_feature: Tensor, obs_feature: Tensor) -> Tensor:
        return self.parameter * torch.ones_like(x)

    def prepare(self, observation: TensorObservation, times: Tensor) -> PreparedSteps:
        return lambda index, x: self.denoise(x, times[index], observation["state"])

    def forward(self, x: Tensor, time: Tensor, observation: TensorObservation) -> Tensor:
        return self.denoise(x, time, observation["state"])


def constant_policy() -> tuple[DiffusionPolicy, ConstantNoise]:
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), CHAIN, SHAPE)
    network = ConstantNoise()
    policy.base = network  # type: ignore[assignment]
    policy.start_finetuning()
    assert isinstance(policy.actor_ft, ConstantNoise)
    return policy, policy.actor_ft


def chain_gradient(policy: DiffusionPolicy, network: ConstantNoise, batch: int) -> Tensor:
    """Score-function estimate of d E[a] / d parameter, the reward being the action itself."""
    generator = torch.Generator().manual_seed(0)
    state = {"state": torch.zeros(batch, 1, 2)}
    sample = policy.sample(state, policy.draw_noise(batch, generator), WHOLE)
    reward = sample.chunk[:, 0, 0]
    advantage = reward - reward.mean()
    total = torch.zeros(())
    for index in range(2):
        position = torch.full((batch,), index)
        log_prob = policy.log_prob(
            state, sample.chain[:, index], sample.chain[:, index + 1], position, WHOLE
        )
        total = total + (log_prob * advantage).mean()
    (gradient,) = torch.autograd.grad(total, network.parameter)
    return gradient


def test_gradient_of_a_two_step_policy_is_the_one_known_in_closed_form() -> None:
    """With eps = p the mean action is linear in p, so d E[a] / d p is exact.

    x1 = A0 x0 - B0 p + noise, x2 = A1 x1 - B1 p + noise, hence d E[a] / d p = -(A1 B0 + B1).
    """
    policy, network = constant_policy()
    steps = policy.tables.training
    keep = steps.mean_from_x0 * steps.x0_from_x + steps.mean_from_x
    push = steps.mean_from_x0 * steps.x0_from_output
    exact = -(keep[1] * push[0] + push[1])
    estimate = chain_gradient(policy, network, 200_000)
    torch.testing.assert_close(estimate, exact, rtol=0.03, atol=0.0)


def test_ppo_gradient_at_ratio_one_is_the_policy_gradient() -> None:
    policy, network = constant_policy()
    generator = torch.Generator().manual_seed(3)
    state = {"state": torch.zeros(64, 1, 2)}
    sample = policy.sample(state, policy.draw_noise(64, generator), WHOLE)
    advantage = torch.randn(64, generator=generator)
    position = torch.ones(64, dtype=torch.long)
    log_prob = policy.log_prob(state, sample.chain[:, 1], sample.chain[:, 2], position, WHOLE)
    clip = clip_coefficients(0.01, 0.001, 3.0, 2)[position]
    loss = ppo_policy_loss(log_prob, log_prob.detach(), advantage, clip).loss
    (ppo,) = torch.autograd.grad(loss, network.parameter, retain_graph=True)
    (plain,) = torch.autograd.grad(-(log_prob * advantage).mean(), network.parameter)
    torch.testing.assert_close(ppo, plain)


def test_loss_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    config = DiffusionConfig(use_ddim=True, ddim_steps=3, ft_denoising_steps=3)
    shape = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=2, act_steps=2)
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), config, shape)
    actor = policy.start_finetuning().double()
    generator = torch.Generator().manual_seed(1)
    state = {"state": torch.randn(30, 1, 3, generator=generator).double()}
    noise = policy.draw_noise(30, generator).double()
    reduction = LogProbReduction(2)
    chain = policy.double().sample(state, noise, reduction).chain
    position = torch.arange(30) % 3
    rows = torch.arange(30)
    advantage = torch.randn(30, generator=generator).double()
    old = torch.randn(30, generator=generator).double() * 0.1
    clip = torch.full((30,), 0.5, dtype=torch.float64)

    def loss() -> Tensor:
        new = policy.log_prob(
            state, chain[rows, position], chain[rows, position + 1], position, reduction
        )
        # float() in the policy rounds the prediction; doubles keep the differences meaningful.
        return ppo_policy_loss(new, old, advantage, clip).loss

    parameter = actor.mlp_mean.layers[-1].bias
    (gradient,) = torch.autograd.grad(loss(), parameter)
    step = 1e-3
    for index in range(len(parameter)):
        with torch.no_grad():
            parameter[index] += step
            up = loss()
            parameter[index] -= 2 * step
            down = loss()
            parameter[index] += step
        torch.testing.assert_close(gradient[index], (up - down) / (2 * step), rtol=2e-2, atol=2e-4)
