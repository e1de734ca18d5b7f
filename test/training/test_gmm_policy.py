# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mixture policies against torch.distributions, and the layout of their heads."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from sim_training.networks.config import GaussianConfig, GmmMlpConfig, GmmTransformerConfig
from sim_training.networks.shape import PolicyShape
from sim_training.policies.gmm import GmmPolicy
from sim_training.policies.protocol import LogProbReduction

SHAPE = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=3, act_steps=2)
WIDE_LIMITS = (-1e6, 1e6)
ROWS = torch.zeros(4, dtype=torch.long)


def observation(batch: int = 4) -> dict[str, Tensor]:
    return {"state": torch.randn(batch, 1, 3, generator=torch.Generator().manual_seed(1))}


def make(std: str = "fixed") -> GmmPolicy:
    torch.manual_seed(0)
    config = GaussianConfig(std=std, fixed_std=0.3, std_range="clamp")  # type: ignore[arg-type]
    return GmmPolicy(GmmMlpConfig(mlp_dims=(8,) * 3, num_modes=3), config, SHAPE)


def mixture(policy: GmmPolicy, seen: dict[str, Tensor], entries: int) -> MixtureSameFamily:
    mean, log_std, logits = policy.base(seen)
    component = Normal(mean[:, :, :entries], log_std.exp()[:, :, :entries])
    return MixtureSameFamily(Categorical(logits=logits), Independent(component, 2))


@pytest.mark.parametrize("std", ["fixed", "per_dimension", "head"])
def test_log_prob_is_the_joint_density_of_the_executed_entries(std: str) -> None:
    policy, seen = make(std), observation()
    chunk = torch.linspace(-0.8, 0.8, 24).view(4, 3, 2)
    joint = mixture(policy, seen, entries=2).log_prob(chunk[:, :2])
    for reduction, expected in (("sum", joint), ("mean", joint / 4)):
        rule = LogProbReduction(2, reduction, WIDE_LIMITS)  # type: ignore[arg-type]
        actual = policy.log_prob(seen, torch.zeros_like(chunk), chunk, ROWS, rule)
        torch.testing.assert_close(actual, expected)


def test_limits_hold_per_entry() -> None:
    policy, seen = make(), observation()
    far = torch.full((4, 3, 2), 5.0)
    for reduction, expected in (("mean", -5.0), ("sum", -5.0 * 6)):
        rule = LogProbReduction(3, reduction)  # type: ignore[arg-type]
        assert policy.log_prob(seen, far, far, ROWS, rule).tolist() == [expected] * 4


def test_cloning_loss_is_the_joint_negative_log_likelihood() -> None:
    policy, seen = make(), observation()
    chunk = torch.linspace(-0.8, 0.8, 24).view(4, 3, 2)
    expected = -mixture(policy, seen, entries=3).log_prob(chunk).mean()
    torch.testing.assert_close(policy.bc_loss(chunk, seen, torch.Generator()), expected)


def test_modes_are_drawn_by_weight_and_entries_around_the_mode() -> None:
    policy = make()
    weights = torch.tensor([0.2, 0.7, 0.1])
    with torch.no_grad():
        last = policy.base.weights.layers[-1]
        nn.init.zeros_(last.weight)
        last.bias.copy_(weights.log())
    size = 4000
    seen = {"state": torch.zeros(size, 1, 3)}
    noise = policy.draw_noise(size, torch.Generator().manual_seed(3))
    mean, _, _ = policy.base({"state": torch.zeros(1, 1, 3)})
    acted = policy.act(seen, noise)
    mode = (acted.unsqueeze(1) - mean).abs().flatten(2).sum(-1).argmin(1)
    torch.testing.assert_close(acted, mean[0, mode])  # evaluation adds no noise to the mean
    share = mode.bincount(minlength=3) / size
    torch.testing.assert_close(share, weights, atol=0.025, rtol=0.0)
    sample = policy.sample(seen, noise, LogProbReduction(3))
    torch.testing.assert_close(sample.chain[:, 1], mean[0, mode] + 0.3 * noise[:, 0])


def test_sampled_log_prob_is_recomputed_exactly() -> None:
    policy, seen, rule = make(), observation(), LogProbReduction(2)
    sample = policy.sample(seen, policy.draw_noise(4, torch.Generator().manual_seed(0)), rule)
    again = policy.log_prob(seen, sample.chain[:, 0], sample.chain[:, 1], ROWS, rule)
    torch.testing.assert_close(sample.log_prob, again.unsqueeze(1))


def test_entropy_is_that_of_one_gaussian_when_all_deviations_are_equal() -> None:
    policy, seen = make(), observation()
    expected = Normal(0.0, torch.tensor(0.3)).entropy()
    torch.testing.assert_close(policy.entropy(seen), expected)


def test_learnable_deviations_belong_to_mode_and_dimension() -> None:
    policy = make("per_dimension")
    numbers = policy.base.log_std.log_variance
    assert numbers is not None and numbers.shape == (6,)
    values = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    with torch.no_grad():
        numbers.copy_(2 * values.log())
    _, log_std, _ = policy.base(observation())
    expected = values.view(3, 1, 2).expand(4, 3, 3, 2)
    torch.testing.assert_close(log_std.exp(), expected)


def test_transformer_head_is_ordered_by_kind_then_mode_then_dimension() -> None:
    network = GmmTransformerConfig(num_modes=2, embed_dim=8, num_heads=2, num_layers=1)
    config = GaussianConfig(std="head", std_range="clamp", tanh_mean=False)
    policy = GmmPolicy(network, config, SHAPE)
    head = policy.base.head
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    deviations = [0.2, 0.3, 0.4, 0.5]
    with torch.no_grad():
        head.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0] + [2 * math.log(s) for s in deviations]))
    mean, log_std, logits = policy.base(observation())
    shape = (4, 2, 3, 2)
    torch.testing.assert_close(
        mean, torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 1, 2).expand(shape)
    )
    torch.testing.assert_close(
        log_std.exp(), torch.tensor(deviations).view(1, 2, 1, 2).expand(shape)
    )
    assert logits.shape == (4, 2)


def test_finetuning_starts_from_the_base_and_freezes_it() -> None:
    policy, seen = make(), observation()
    learnable = policy.with_gaussian(GaussianConfig(std="per_dimension", fixed_std=0.1))
    trained = learnable.start_finetuning()
    noise = policy.draw_noise(4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(learnable.act(seen, noise), policy.act(seen, noise))
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert not any(parameter.requires_grad for parameter in learnable.base.parameters())
