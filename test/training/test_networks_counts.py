# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameter counts of every network of the reference: a layout that differs shows here.

Networks are built on the meta device, which counts without allocating.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sim_training.networks.config import (
    CriticConfig,
    DiffusionMlpConfig,
    DiffusionUnetConfig,
    GaussianConfig,
    GaussianMlpConfig,
    GaussianTransformerConfig,
    GmmMlpConfig,
    GmmTransformerConfig,
    NetworkConfig,
    QCriticConfig,
    VisionConfig,
)
from sim_training.networks.critic import StateActionCritic, StateCritic
from sim_training.networks.make import (
    make_denoising_network,
    make_gaussian_network,
    make_gmm_network,
)
from sim_training.networks.shape import PolicyShape

RANGE_CONSTANTS = 2
"""The reference stores the two ends of the log-variance as frozen parameters and counts them."""


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def shape(obs: int, action: int, horizon: int, cameras: int = 0) -> PolicyShape:
    return PolicyShape(obs, action, 1, horizon, horizon, cameras, 96 if cameras else 0)


RELU_MLP = DiffusionMlpConfig(activation_type="ReLU")
KITCHEN = DiffusionMlpConfig(mlp_dims=(256,) * 3, cond_mlp_dims=(128, 32))
SQUARE = DiffusionMlpConfig(mlp_dims=(1024,) * 3, cond_mlp_dims=(512, 64), time_dim=32)
TRANSPORT = DiffusionMlpConfig(mlp_dims=(1024,) * 3, time_dim=32)
FURNITURE = DiffusionMlpConfig(
    mlp_dims=(1024,) * 7, cond_mlp_dims=(512, 64), time_dim=32, use_layernorm=True
)
CAN_PIXEL = DiffusionMlpConfig(time_dim=32, vision=VisionConfig())
SQUARE_PIXEL = DiffusionMlpConfig(mlp_dims=(768,) * 3, time_dim=32, vision=VisionConfig())
UNET_40 = DiffusionUnetConfig(dim=40)
UNET_64 = DiffusionUnetConfig(dim=64)
UNET_FURNITURE = DiffusionUnetConfig(dim=64, dim_mults=(1, 2, 4))
UNET_40_PIXEL = DiffusionUnetConfig(dim=40, time_dim=32, vision=VisionConfig())
UNET_64_PIXEL = DiffusionUnetConfig(dim=64, time_dim=32, vision=VisionConfig())


@pytest.mark.parametrize(
    ("config", "sizes", "expected"),
    [
        pytest.param(RELU_MLP, shape(11, 3, 4), 553_020, id="hopper"),
        pytest.param(RELU_MLP, shape(17, 6, 4), 568_392, id="walker2d"),
        pytest.param(KITCHEN, shape(60, 9, 4), 175_604, id="kitchen"),
        pytest.param(DiffusionMlpConfig(), shape(19, 7, 4), 573_516, id="lift"),
        pytest.param(UNET_40, shape(19, 7, 4), 648_615, id="lift-unet"),
        pytest.param(DiffusionMlpConfig(), shape(23, 7, 4), 575_564, id="can"),
        pytest.param(UNET_40, shape(23, 7, 4), 652_455, id="can-unet"),
        pytest.param(SQUARE, shape(23, 7, 4), 2_305_212, id="square"),
        pytest.param(UNET_64, shape(23, 7, 4), 1_623_255, id="square-unet"),
        pytest.param(TRANSPORT, shape(59, 14, 8), 2_427_088, id="transport"),
        pytest.param(UNET_64, shape(59, 14, 16), 1_681_694, id="transport-unet"),
        pytest.param(CAN_PIXEL, shape(9, 7, 4, 1), 1_064_956, id="can-pixel"),
        pytest.param(UNET_40_PIXEL, shape(9, 7, 4, 1), 1_203_191, id="can-pixel-unet"),
        pytest.param(SQUARE_PIXEL, shape(9, 7, 4, 1), 1_778_684, id="square-pixel"),
        pytest.param(UNET_64_PIXEL, shape(9, 7, 4, 1), 2_248_871, id="square-pixel-unet"),
        pytest.param(SQUARE_PIXEL, shape(18, 14, 8, 2), 2_048_720, id="transport-pixel"),
        pytest.param(UNET_64_PIXEL, shape(18, 14, 16, 2), 2_498_158, id="transport-pixel-unet"),
        pytest.param(FURNITURE, shape(58, 10, 8), 6_640_368, id="one_leg"),
        pytest.param(UNET_FURNITURE, shape(58, 10, 16), 6_856_346, id="one_leg-unet"),
        pytest.param(FURNITURE, shape(44, 10, 8), 6_633_200, id="lamp"),
        pytest.param(UNET_FURNITURE, shape(44, 10, 16), 6_806_170, id="lamp-unet"),
        pytest.param(RELU_MLP, shape(4, 2, 4), 545_336, id="avoiding"),
    ],
)
def test_denoising_networks(
    config: DiffusionMlpConfig | DiffusionUnetConfig, sizes: PolicyShape, expected: int
) -> None:
    with torch.device("meta"):
        assert count(make_denoising_network(config, sizes)) == expected


WIDE_CRITIC = CriticConfig(mlp_dims=(512,) * 3)
PIXEL_CRITIC = CriticConfig(vision=VisionConfig())


@pytest.mark.parametrize(
    ("config", "sizes", "expected"),
    [
        pytest.param(CriticConfig(), shape(11, 3, 4), 134_913, id="hopper"),
        pytest.param(CriticConfig(), shape(17, 6, 4), 136_449, id="walker2d"),
        pytest.param(CriticConfig(), shape(60, 9, 4), 147_457, id="kitchen"),
        pytest.param(CriticConfig(), shape(19, 7, 4), 136_961, id="lift"),
        pytest.param(CriticConfig(), shape(23, 7, 4), 137_985, id="can-square"),
        pytest.param(CriticConfig(), shape(59, 14, 8), 147_201, id="transport"),
        pytest.param(PIXEL_CRITIC, shape(9, 7, 4, 1), 586_881, id="can-square-pixel"),
        pytest.param(PIXEL_CRITIC, shape(18, 14, 8, 2), 657_665, id="transport-pixel"),
        pytest.param(WIDE_CRITIC, shape(58, 10, 8), 556_033, id="one_leg"),
        pytest.param(WIDE_CRITIC, shape(44, 10, 8), 548_865, id="lamp"),
        pytest.param(CriticConfig(), shape(4, 2, 4), 133_121, id="avoiding"),
    ],
)
def test_critics(config: CriticConfig, sizes: PolicyShape, expected: int) -> None:
    with torch.device("meta"):
        assert count(StateCritic(config, sizes)) == expected


FIXED = GaussianConfig(std="fixed")
LEARNED = GaussianConfig(std="per_dimension")
MLP_1024 = GaussianMlpConfig(mlp_dims=(1024,) * 3)
MLP_FURNITURE = GaussianMlpConfig(mlp_dims=(1024,) * 11, activation_type="ReLU")
MLP_AVOIDING = GaussianMlpConfig(mlp_dims=(256,) * 3, activation_type="ReLU")
GMM_1024 = GmmMlpConfig(mlp_dims=(1024,) * 3)
GMM_AVOIDING = GmmMlpConfig(mlp_dims=(256,) * 2, residual_style=False, activation_type="ReLU")
TRANSFORMER_160 = GaussianTransformerConfig(embed_dim=160)
GMM_TRANSFORMER_160 = GmmTransformerConfig(embed_dim=160)


@pytest.mark.parametrize(
    ("config", "gaussian", "sizes", "expected"),
    [
        pytest.param(GaussianMlpConfig(), LEARNED, shape(19, 7, 4), 549_925, id="lift"),
        pytest.param(GaussianMlpConfig(), LEARNED, shape(23, 7, 4), 551_973, id="can"),
        pytest.param(MLP_1024, LEARNED, shape(23, 7, 4), 2_152_485, id="square"),
        pytest.param(MLP_1024, LEARNED, shape(59, 14, 8), 2_275_456, id="transport"),
        pytest.param(MLP_FURNITURE, LEARNED, shape(58, 10, 8), 10_638_428, id="one_leg"),
        pytest.param(MLP_AVOIDING, FIXED, shape(4, 2, 4), 134_922, id="avoiding"),
        pytest.param(
            GaussianTransformerConfig(), LEARNED, shape(23, 7, 4), 674_992, id="can-transformer"
        ),
        pytest.param(TRANSFORMER_160, LEARNED, shape(23, 7, 4), 1_862_256, id="square-transformer"),
        pytest.param(
            TRANSFORMER_160, LEARNED, shape(59, 14, 8), 1_869_790, id="transport-transformer"
        ),
        pytest.param(GmmMlpConfig(), LEARNED, shape(19, 7, 4), 1_145_526, id="lift-gmm"),
        pytest.param(GmmMlpConfig(), LEARNED, shape(23, 7, 4), 1_149_622, id="can-gmm"),
        pytest.param(GMM_1024, LEARNED, shape(23, 7, 4), 4_396_214, id="square-gmm"),
        pytest.param(GMM_1024, LEARNED, shape(59, 14, 8), 4_900_477, id="transport-gmm"),
        pytest.param(GMM_AVOIDING, FIXED, shape(4, 2, 4), 145_711, id="avoiding-gmm"),
        pytest.param(
            GmmTransformerConfig(), LEARNED, shape(23, 7, 4), 679_661, id="can-gmm-transformer"
        ),
        pytest.param(
            GMM_TRANSFORMER_160, LEARNED, shape(23, 7, 4), 1_869_997, id="square-gmm-transformer"
        ),
        pytest.param(
            GMM_TRANSFORMER_160,
            LEARNED,
            shape(59, 14, 8),
            1_885_267,
            id="transport-gmm-transformer",
        ),
    ],
)
def test_gaussian_and_mixture_networks(
    config: NetworkConfig, gaussian: GaussianConfig, sizes: PolicyShape, expected: int
) -> None:
    with torch.device("meta"):
        if isinstance(config, (GaussianMlpConfig, GaussianTransformerConfig)):
            network: nn.Module = make_gaussian_network(config, gaussian, sizes)
        else:
            assert isinstance(config, (GmmMlpConfig, GmmTransformerConfig))
            network = make_gmm_network(config, gaussian, sizes)
    assert count(network) == expected - RANGE_CONSTANTS


def test_state_action_critic_counts_two_networks_and_honours_the_residual_switch() -> None:
    """By hand for 3 + 2 * 2 inputs: plain 8-8-8 is three more layers, so is one block."""
    sizes = PolicyShape(3, 2, 1, 4, 2)
    single = (7 * 8 + 8) + 2 * (8 * 8 + 8) + (8 + 1)
    for residual in (False, True):
        for double in (False, True):
            config = QCriticConfig(mlp_dims=(8,) * 3, residual_style=residual, double_q=double)
            assert count(StateActionCritic(config, sizes)) == single * (2 if double else 1)
    two_plain_layers = QCriticConfig(mlp_dims=(8, 8), residual_style=False, double_q=False)
    assert count(StateActionCritic(two_plain_layers, sizes)) == single - 72
