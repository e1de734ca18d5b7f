# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small policies of every kind of network and chain, for the tests of exported graphs."""

from __future__ import annotations

import numpy as np
import torch

from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.networks.config import (
    DiffusionMlpConfig,
    DiffusionNetworkConfig,
    DiffusionUnetConfig,
    GaussianConfig,
)
from sim_training.networks.shape import PolicyShape
from sim_training.policies.header import PolicyHeader

SHAPE = PolicyShape(obs_dim=5, action_dim=3, cond_steps=2, horizon_steps=4, act_steps=3)
DDIM = DiffusionConfig(use_ddim=True, ddim_steps=4, ft_denoising_steps=2)
DDPM = DiffusionConfig(denoising_steps=3, ft_denoising_steps=2)


def make_header(network: DiffusionNetworkConfig, diffusion: DiffusionConfig) -> PolicyHeader:
    def spec(name: str, size: int) -> VectorSpec:
        components = tuple(f"c{i}" for i in range(size))
        return VectorSpec((Field(name, size, "1", "none", components),))

    def ends(size: int) -> MinMaxNormalizer:
        return MinMaxNormalizer(-1.0 - np.arange(size), 2.0 + np.arange(size))

    return PolicyHeader(
        task="toy_reach",
        env={},
        network=network,
        diffusion=diffusion,
        gaussian=GaussianConfig(),
        shape=SHAPE,
        observation_spec=spec("seen", SHAPE.obs_dim),
        action_spec=spec("done", SHAPE.action_dim),
        observation_normalizer=ends(SHAPE.obs_dim),
        action_normalizer=ends(SHAPE.action_dim),
        observation_clip=1.1,
        control_rate_hz=10.0,
        finetuned=True,
    )


def make_policy(header: PolicyHeader) -> DiffusionPolicy:
    """A policy whose two networks differ, with weights that reach the clips."""
    torch.manual_seed(0)
    policy = header.build_policy()
    assert isinstance(policy, DiffusionPolicy) and policy.actor_ft is not None
    for parameter in policy.parameters():
        parameter.requires_grad_(False).add_(0.1 * torch.randn_like(parameter))
    return policy.eval()


NETWORKS: dict[str, DiffusionNetworkConfig] = {
    "residual": DiffusionMlpConfig(mlp_dims=(24, 24, 24)),
    "residual_norm": DiffusionMlpConfig(
        mlp_dims=(24,) * 5, use_layernorm=True, cond_mlp_dims=(16, 8), activation_type="ReLU"
    ),
    "plain_norm": DiffusionMlpConfig(
        mlp_dims=(24, 16), residual_style=False, use_layernorm=True, obs_fourier_features=2
    ),
    "unet": DiffusionUnetConfig(dim=16, dim_mults=(1, 2, 2)),
    "unet_shift": DiffusionUnetConfig(
        dim=8, n_groups=4, kernel_size=3, cond_predict_scale=False, smaller_encoder=True
    ),
}
CHAINS = {
    "ddim": DDIM,
    "ddim_noise": DiffusionConfig(
        use_ddim=True,
        ddim_steps=4,
        ft_denoising_steps=4,
        eval_eta=0.7,
        final_action_clip_value=None,
    ),
    "one_step": DiffusionConfig(use_ddim=True, ddim_steps=1, ft_denoising_steps=1, eval_eta=1.0),
    "ddpm": DDPM,
    "ddim_sample": DiffusionConfig(
        use_ddim=True,
        ddim_steps=3,
        timestep_spacing="trailing",
        prediction_type="sample",
        ft_denoising_steps=2,
        eval_eta=1.0,
    ),
    "ddpm_sample": DiffusionConfig(
        denoising_steps=3, prediction_type="sample", ft_denoising_steps=2
    ),
}
