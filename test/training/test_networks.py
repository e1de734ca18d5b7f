# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Building blocks of the networks, critics, and gradients that reach every parameter."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import (
    CriticConfig,
    DiffusionMlpConfig,
    DiffusionUnetConfig,
    GaussianConfig,
    GaussianMlpConfig,
    GaussianTransformerConfig,
    GmmMlpConfig,
    GmmTransformerConfig,
    QCriticConfig,
    VisionConfig,
)
from sim_training.networks.critic import StateActionCritic, StateCritic
from sim_training.networks.features import FourierFeatures
from sim_training.networks.layers import SinusoidalEmbedding
from sim_training.networks.make import (
    make_denoising_network,
    make_gaussian_network,
    make_gmm_network,
)
from sim_training.networks.mlp import DiffusionMlp
from sim_training.networks.shape import PolicyShape


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


SHAPE = PolicyShape(5, 3, 2, 4, 2, cameras=2, image_size_px=32, img_cond_steps=1)
VISION = VisionConfig(embed_dim=8, num_heads=2, spatial_dim=6)
SMALL = (8, 8, 8)
HEAD = GaussianConfig(std="head")
PER_DIMENSION = GaussianConfig(std="per_dimension")
SINGLE_TOKEN_QUERY = re.compile(r"decoder\.layers\.\d+\.norm2")
"""With one observation token, attention weights are 1 whatever the query, so its norm cannot learn.
The reference has the same idle norm."""


def observations() -> dict[str, Tensor]:
    images = torch.randint(0, 256, (2, 1, 6, 32, 32), dtype=torch.uint8)
    return {"state": torch.randn(2, 2, 5), "rgb": images}


def run_denoising_network(
    config: DiffusionMlpConfig | DiffusionUnetConfig,
) -> tuple[nn.Module, list[Tensor]]:
    network = make_denoising_network(config, SHAPE)
    return network, [network(torch.randn(2, 4, 3), torch.tensor([1, 5]), observations())]


def run_gaussian(
    config: GaussianMlpConfig | GaussianTransformerConfig, gaussian: GaussianConfig
) -> tuple[nn.Module, list[Tensor]]:
    network = make_gaussian_network(config, gaussian, SHAPE)
    return network, list(network(observations()))


def run_gmm(
    config: GmmMlpConfig | GmmTransformerConfig, gaussian: GaussianConfig
) -> tuple[nn.Module, list[Tensor]]:
    network = make_gmm_network(config, gaussian, SHAPE)
    return network, list(network(observations()))


def run_critic(config: CriticConfig) -> tuple[nn.Module, list[Tensor]]:
    critic = StateCritic(config, SHAPE)
    return critic, [critic(observations())]


def run_q_critic(config: QCriticConfig) -> tuple[nn.Module, list[Tensor]]:
    critic = StateActionCritic(config, SHAPE)
    return critic, [critic(observations(), torch.randn(2, 2, 3))]


NETWORKS = {
    "mlp": lambda: run_denoising_network(
        DiffusionMlpConfig(mlp_dims=SMALL, cond_mlp_dims=(8, 4), use_layernorm=True, vision=VISION)
    ),
    "unet": lambda: run_denoising_network(
        DiffusionUnetConfig(dim=8, n_groups=4, time_dim=4, vision=VISION)
    ),
    "gaussian_mlp": lambda: run_gaussian(GaussianMlpConfig(mlp_dims=SMALL), PER_DIMENSION),
    "gaussian_mlp_head": lambda: run_gaussian(
        GaussianMlpConfig(mlp_dims=(8, 6), residual_style=False, use_layernorm=True), HEAD
    ),
    "gaussian_mlp_residual_head": lambda: run_gaussian(
        GaussianMlpConfig(mlp_dims=(8,) * 4, use_layernorm=True), HEAD
    ),
    "gaussian_mlp_pixel_head": lambda: run_gaussian(
        GaussianMlpConfig(mlp_dims=SMALL, vision=VISION), HEAD
    ),
    "gmm_mlp": lambda: run_gmm(GmmMlpConfig(mlp_dims=SMALL, num_modes=2), PER_DIMENSION),
    "gmm_mlp_head": lambda: run_gmm(GmmMlpConfig(mlp_dims=SMALL, num_modes=2), HEAD),
    "gaussian_transformer": lambda: run_gaussian(
        GaussianTransformerConfig(embed_dim=8, num_heads=2, num_layers=2), PER_DIMENSION
    ),
    "gmm_transformer": lambda: run_gmm(
        GmmTransformerConfig(embed_dim=8, num_heads=2, num_layers=2, vision=VISION), HEAD
    ),
    "critic": lambda: run_critic(CriticConfig(mlp_dims=SMALL, vision=VISION)),
    "q_critic": lambda: run_q_critic(QCriticConfig(mlp_dims=SMALL)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network, outputs = NETWORKS[name]()
    loss = torch.stack([(output - 0.3).square().mean() for output in outputs]).sum()
    loss.backward()
    idle = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert [key for key in idle if not SINGLE_TOKEN_QUERY.match(key)] == []


def test_double_q_networks_are_independent_and_see_the_actions() -> None:
    torch.manual_seed(0)
    critic = StateActionCritic(QCriticConfig(mlp_dims=SMALL), SHAPE)
    seen = observations()
    still, moved = critic(seen, torch.zeros(2, 2, 3)), critic(seen, torch.ones(2, 2, 3))
    assert still.shape == (2, 2)
    assert not torch.allclose(still[:, 0], still[:, 1])
    assert not torch.allclose(still, moved)
    single = StateActionCritic(QCriticConfig(mlp_dims=SMALL, double_q=False), SHAPE)
    assert single(seen, torch.zeros(2, 2, 3)).shape == (2, 1)
