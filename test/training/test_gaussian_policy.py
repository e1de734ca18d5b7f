# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussian policies: densities and deviations in closed form, sampling, change of settings."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import (
    GaussianConfig,
    GaussianMlpConfig,
    GaussianTransformerConfig,
)
from sim_training.networks.shape import PolicyShape
from sim_training.networks.std import LogStd
from sim_training.policies.gaussian import GaussianPolicy
from sim_training.policies.protocol import LogProbReduction

SHAPE = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=3, act_steps=2)
NETWORK = GaussianMlpConfig(mlp_dims=(8,) * 3)
FIXED = GaussianConfig(std="fixed", fixed_std=0.2)
ROWS = torch.zeros(5, dtype=torch.long)


def observation(batch: int = 5) -> dict[str, Tensor]:
    return {"state": torch.randn(batch, 1, 3, generator=torch.Generator().manual_seed(1))}


def make(config: GaussianConfig = FIXED) -> GaussianPolicy:
    torch.manual_seed(0)
    return GaussianPolicy(NETWORK, config, SHAPE)


def noise_of(policy: GaussianPolicy, batch: int = 5, seed: int = 2) -> Tensor:
    return policy.draw_noise(batch, torch.Generator().manual_seed(seed))


def test_log_prob_is_the_clamped_normal_density_of_the_executed_entries() -> None:
    policy, seen = make(), observation()
    mean, _ = policy.base(seen)
    chunk = mean.detach() + torch.linspace(-1.2, 1.2, 30).view(5, 3, 2)
    density = Normal(mean, 0.2).log_prob(chunk).clamp(-5.0, 2.0)[:, :2]
    for reduction, expected in (("mean", density.mean((1, 2))), ("sum", density.sum((1, 2)))):
        rule = LogProbReduction(2, reduction)  # type: ignore[arg-type]
        actual = policy.log_prob(seen, torch.zeros_like(chunk), chunk, ROWS, rule)
        torch.testing.assert_close(actual, expected)
    assert density.min() == -5.0  # the clamp was exercised


def test_sample_is_mean_plus_clipped_noise_with_its_own_log_prob() -> None:
    policy, seen = make(replace(FIXED, randn_clip_value=1.0)), observation()
    noise, rule = noise_of(policy), LogProbReduction(2)
    sample = policy.sample(seen, noise, rule)
    mean, _ = policy.base(seen)
    torch.testing.assert_close(sample.chain[:, 1], mean + 0.2 * noise[:, 0].clamp(-1.0, 1.0))
    assert not sample.chain[:, 0].any()
    again = policy.log_prob(seen, sample.chain[:, 0], sample.chain[:, 1], ROWS, rule)
    torch.testing.assert_close(sample.log_prob, again.unsqueeze(1))


def test_evaluation_is_the_mean_and_the_executed_chunk_is_clipped() -> None:
    policy, seen = make(), observation()
    torch.testing.assert_close(policy.act(seen, noise_of(policy)), policy.base(seen)[0])
    noise = 100.0 * torch.ones(5, 1, 3, 2)
    wide = make(GaussianConfig(fixed_std=1.0))
    assert wide.sample(seen, noise, LogProbReduction(3)).chunk.eq(1.0).all()
    free = make(GaussianConfig(fixed_std=1.0, final_action_clip_value=None))
    drawn = free.sample(seen, noise, LogProbReduction(3))
    torch.testing.assert_close(drawn.chunk, drawn.chain[:, 1])
    assert drawn.chunk.max() > 1.5


def test_mean_is_squashed_only_if_asked() -> None:
    seen = {"state": 100.0 * torch.ones(1, 1, 3)}
    squashed, linear = make(), make(replace(FIXED, tanh_mean=False))
    raw, _ = linear.base(seen)
    assert raw.abs().max() > 1.0
    torch.testing.assert_close(squashed.base(seen)[0], torch.tanh(raw))


def test_cloning_loss_and_entropy_in_closed_form() -> None:
    policy, seen = make(), observation()
    chunk = torch.linspace(-1.0, 1.0, 30).view(5, 3, 2)
    normal = Normal(policy.base(seen)[0], 0.2)
    loss = policy.bc_loss(chunk, seen, torch.Generator())
    torch.testing.assert_close(loss, -normal.log_prob(chunk).mean())
    torch.testing.assert_close(policy.entropy(seen), normal.entropy().mean())


def test_learnable_deviation_is_one_number_per_action_dimension() -> None:
    policy = make(GaussianConfig(std="per_dimension", fixed_std=0.1, std_max=0.2))
    numbers = policy.base.log_std.log_variance
    assert numbers is not None and numbers.shape == (2,)
    with torch.no_grad():
        numbers.copy_(torch.tensor([2 * math.log(0.05), 2 * math.log(0.7)]))
    _, log_std = policy.base(observation())
    expected = torch.tensor([0.05, 0.2]).expand(5, 3, 2)  # the second one is above its limit
    torch.testing.assert_close(log_std.exp(), expected)


@pytest.mark.parametrize(
    ("std_range", "raw", "expected"),
    [
        ("tanh", 0.0, 0.1),  # the middle of the log range 0.01 ... 1
        ("tanh", 50.0, 1.0),
        ("tanh", -50.0, 0.01),
        ("clamp", 2 * math.log(0.3), 0.3),
        ("clamp", 50.0, 1.0),
        ("clamp", -50.0, 0.01),
    ],
)
def test_predicted_deviation_stays_in_its_range(
    std_range: str, raw: float, expected: float
) -> None:
    config = GaussianConfig(std="head", std_range=std_range)  # type: ignore[arg-type]
    mean = torch.zeros(1, 1, 1)
    log_std = LogStd(config, 1, None)(mean, torch.full_like(mean, raw))
    assert log_std.exp().item() == pytest.approx(expected, rel=1e-5)


def test_transformer_head_holds_means_then_log_variances() -> None:
    network = GaussianTransformerConfig(embed_dim=8, num_heads=2, num_layers=1)
    config = GaussianConfig(std="head", std_range="clamp", tanh_mean=False)
    policy = GaussianPolicy(network, config, SHAPE)
    head = policy.base.head
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.1, 0.2, 2 * math.log(0.3), 2 * math.log(0.4)]))
    mean, log_std = policy.base(observation())
    torch.testing.assert_close(mean, torch.tensor([0.1, 0.2]).expand(5, 3, 2))
    torch.testing.assert_close(log_std.exp(), torch.tensor([0.3, 0.4]).expand(5, 3, 2))


def test_finetuning_trains_the_copy_and_leaves_the_base() -> None:
    policy, seen = make(GaussianConfig(std="per_dimension")), observation()
    trained = policy.start_finetuning()
    before = policy.act(seen, noise_of(policy), use_base_policy=True)
    chunk = torch.zeros(5, 3, 2)
    policy.log_prob(seen, chunk, chunk, ROWS, LogProbReduction(3)).sum().backward()
    with torch.no_grad():
        for parameter in trained.parameters():
            assert parameter.grad is not None
            parameter -= parameter.grad
    assert not any(p.requires_grad or p.grad is not None for p in policy.base.parameters())
    assert torch.equal(policy.act(seen, noise_of(policy), use_base_policy=True), before)
    assert not torch.allclose(policy.act(seen, noise_of(policy)), before)


def test_other_deviations_keep_the_trained_network() -> None:
    policy, seen = make(), observation()
    learnable = GaussianConfig(std="per_dimension", fixed_std=0.04, std_max=0.2)
    other = policy.with_gaussian(learnable)
    mean, log_std = other.base(seen)
    torch.testing.assert_close(mean, policy.base(seen)[0])
    torch.testing.assert_close(log_std.exp(), torch.full_like(mean, 0.04))
    assert policy.base.log_std.log_variance is None  # the original is untouched
    numbers = other.base.log_std.log_variance
    assert numbers is not None
    nn.init.constant_(numbers, 2 * math.log(0.15))
    wider = other.with_gaussian(replace(learnable, std_max=0.5))
    torch.testing.assert_close(wider.base(seen)[1].exp(), torch.full_like(mean, 0.15))


def test_settings_that_the_network_was_not_trained_for_are_refused() -> None:
    policy = make()
    with pytest.raises(ConfigError, match="predicted deviation is part of the network"):
        policy.with_gaussian(replace(FIXED, std="head"))
    with pytest.raises(ConfigError, match="tanh_mean is False"):
        policy.with_gaussian(replace(FIXED, tanh_mean=False))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fixed_std": 0.0}, "fixed_std is 0.0; it must be positive"),
        ({"std_min": 0.5, "std_max": 0.2}, "std_min must be the smaller one"),
        ({"std": "per_dimension", "fixed_std": 0.3, "std_max": 0.2}, "start inside that range"),
        ({"randn_clip_value": -1.0}, "randn_clip_value is -1.0"),
    ],
)
def test_contradicting_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GaussianConfig(**settings)  # type: ignore[arg-type]
