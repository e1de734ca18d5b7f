# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the settings of a network to the network."""

from __future__ import annotations

from typing import TypeAlias

from sim_training.networks.config import (
    DiffusionNetworkConfig,
    DiffusionUnetConfig,
    GaussianConfig,
    GaussianMlpConfig,
    GaussianNetworkConfig,
    GmmMlpConfig,
    GmmNetworkConfig,
)
from sim_training.networks.features import ObservationLayout
from sim_training.networks.gaussian import GaussianMlp, GmmMlp
from sim_training.networks.mlp import DiffusionMlp
from sim_training.networks.shape import PolicyShape
from sim_training.networks.transformer import GaussianTransformer, GmmTransformer
from sim_training.networks.unet import DiffusionUnet

DenoisingNetwork: TypeAlias = DiffusionMlp | DiffusionUnet
"""A network with `encode_observation`, `encode_time`, `denoise` and `forward`."""

GaussianNetwork: TypeAlias = GaussianMlp | GaussianTransformer
"""A network from observations to mean and log standard deviation of a chunk."""

GmmNetwork: TypeAlias = GmmMlp | GmmTransformer
"""A network from observations to means, log standard deviations and logits of the modes."""


def make_denoising_network(
    config: DiffusionNetworkConfig, shape: PolicyShape, layout: ObservationLayout | None = None
) -> DenoisingNetwork:
    """Return a fresh network of a diffusion policy, of whatever it predicts (`prediction_type`).

    Args:
        config: kind, layers and options.
        shape: sizes of observation and chunk.
        layout: meaning of the observation; only for `relative_pairs`.

    Raises:
        ConfigError: settings and sizes do not fit together.
    """
    if isinstance(config, DiffusionUnetConfig):
        return DiffusionUnet(config, shape, layout)
    return DiffusionMlp(config, shape, layout)


def make_gaussian_network(
    config: GaussianNetworkConfig,
    gaussian: GaussianConfig,
    shape: PolicyShape,
    layout: ObservationLayout | None = None,
) -> GaussianNetwork:
    """Return a fresh network of a Gaussian policy; see `make_denoising_network`.

    Args:
        config: kind, layers and options.
        gaussian: standard deviation and squashing.
        shape: sizes of observation and chunk.
        layout: meaning of the observation; only for `relative_pairs`.
    """
    if isinstance(config, GaussianMlpConfig):
        return GaussianMlp(config, gaussian, shape, layout)
    return GaussianTransformer(config, gaussian, shape, layout)


def make_gmm_network(
    config: GmmNetworkConfig,
    gaussian: GaussianConfig,
    shape: PolicyShape,
    layout: ObservationLayout | None = None,
) -> GmmNetwork:
    """Return a fresh network of a mixture policy; see `make_gaussian_network`."""
    if isinstance(config, GmmMlpConfig):
        return GmmMlp(config, gaussian, shape, layout)
    return GmmTransformer(config, gaussian, shape, layout)
