# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Network layouts: parameter counts of the reference, and the optional Fourier features."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import CriticConfig, DiffusionMlpConfig
from sim_training.networks.critic import StateCritic
from sim_training.networks.features import FourierFeatures
from sim_training.networks.layers import SinusoidalEmbedding
from sim_training.networks.mlp import DiffusionMlp
from sim_training.networks.shape import PolicyShape


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


ONE_LEG = DiffusionMlpConfig(
    mlp_dims=(1024,) * 7, cond_mlp_dims=(512, 64), time_dim=32, use_layernorm=True
)
SQUARE = DiffusionMlpConfig(mlp_dims=(1024,) * 3, cond_mlp_dims=(512, 64), time_dim=32)


@pytest.mark.parametrize(
    ("config", "obs_dim", "action_dim", "horizon", "expected"),
    [
        (DiffusionMlpConfig(activation_type="ReLU"), 11, 3, 4, 553_020),
        (DiffusionMlpConfig(activation_type="ReLU"), 17, 6, 4, 568_392),
        (DiffusionMlpConfig(mlp_dims=(256,) * 3, cond_mlp_dims=(128, 32)), 60, 9, 4, 175_604),
        (DiffusionMlpConfig(), 19, 7, 4, 573_516),
        (DiffusionMlpConfig(), 23, 7, 4, 575_564),
        (SQUARE, 23, 7, 4, 2_305_212),
        (DiffusionMlpConfig(mlp_dims=(1024,) * 3, time_dim=32), 59, 14, 8, 2_427_088),
        (ONE_LEG, 58, 10, 8, 6_640_368),
        (ONE_LEG, 44, 10, 8, 6_633_200),
        (DiffusionMlpConfig(activation_type="ReLU"), 4, 2, 4, 545_336),
    ],
)
def test_actor_parameter_counts(
    config: DiffusionMlpConfig, obs_dim: int, action_dim: int, horizon: int, expected: int
) -> None:
    assert (
        count(DiffusionMlp(config, PolicyShape(obs_dim, action_dim, 1, horizon, horizon)))
        == expected
    )


@pytest.mark.parametrize(
    ("width", "obs_dim", "expected"),
    [(256, 11, 134_913), (256, 60, 147_457), (256, 59, 147_201), (512, 58, 556_033)],
)
def test_critic_parameter_counts(width: int, obs_dim: int, expected: int) -> None:
    assert (
        count(StateCritic(CriticConfig(mlp_dims=(width,) * 3), PolicyShape(obs_dim, 1, 1, 1, 1)))
        == expected
    )


def test_time_embedding_is_sine_then_cosine_of_geometric_frequencies() -> None:
    feature = SinusoidalEmbedding(8)(torch.tensor([3.0]))[0]
    expected = [3.0 * math.exp(-j * math.log(10000) / 3) for j in range(4)]
    torch.testing.assert_close(feature[:4], torch.tensor([math.sin(a) for a in expected]))
    torch.testing.assert_close(feature[4:], torch.tensor([math.cos(a) for a in expected]))


def test_fourier_features_of_one_number() -> None:
    feature = FourierFeatures(2)(torch.tensor([[0.25]]))[0]
    quarter, half = math.pi / 4, math.pi / 2
    expected = [0.25, math.sin(quarter), math.sin(half), math.cos(quarter), math.cos(half)]
    torch.testing.assert_close(feature, torch.tensor(expected))


def test_cached_observation_feature_gives_the_same_prediction() -> None:
    network = DiffusionMlp(
        DiffusionMlpConfig(mlp_dims=(16,) * 3, cond_mlp_dims=(8, 4)), PolicyShape(5, 2, 2, 3, 3)
    )
    x, time = torch.randn(4, 3, 2), torch.tensor([0, 1, 2, 3])
    state = {"state": torch.randn(4, 2, 5)}
    parts = network.denoise(x, network.encode_time(time), network.encode_observation(state))
    torch.testing.assert_close(network(x, time, state), parts)


def test_plain_style_and_its_refusals() -> None:
    plain = DiffusionMlpConfig(mlp_dims=(8, 6), residual_style=False, use_layernorm=True)
    assert DiffusionMlp(plain, PolicyShape(3, 2, 1, 2, 2))(
        torch.zeros(1, 2, 2), torch.zeros(1), {"state": torch.zeros(1, 1, 3)}
    ).shape == (1, 2, 2)
    with pytest.raises(ConfigError, match="odd number of equal hidden sizes"):
        DiffusionMlp(DiffusionMlpConfig(mlp_dims=(8, 8)), PolicyShape(3, 2, 1, 2, 2))
    with pytest.raises(ConfigError, match="time_dim is 5"):
        DiffusionMlp(DiffusionMlpConfig(time_dim=5), PolicyShape(3, 2, 1, 2, 2))
