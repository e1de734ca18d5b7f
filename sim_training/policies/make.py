# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From settings to a policy; the network's settings decide which kind it is."""

from __future__ import annotations

from typing import TypeAlias

from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.networks.config import (
    DiffusionMlpConfig,
    DiffusionUnetConfig,
    GaussianConfig,
    GaussianMlpConfig,
    GaussianTransformerConfig,
    NetworkConfig,
)
from sim_training.networks.features import ObservationLayout
from sim_training.networks.shape import PolicyShape
from sim_training.policies.gaussian import GaussianPolicy
from sim_training.policies.gmm import GmmPolicy

TrainablePolicy: TypeAlias = DiffusionPolicy | GaussianPolicy | GmmPolicy
"""Every kind of policy; each satisfies `Policy` and is a `torch.nn.Module`."""


def make_policy(
    network: NetworkConfig,
    diffusion: DiffusionConfig,
    gaussian: GaussianConfig,
    shape: PolicyShape,
    layout: ObservationLayout | None = None,
) -> TrainablePolicy:
    """Return a policy with fresh weights.

    Args:
        network: kind and layers.
        diffusion: chain, for networks that predict noise.
        gaussian: standard deviations, for networks that predict actions.
        shape: sizes.
        layout: meaning of the observation; only for `relative_pairs`.
    """
    if isinstance(network, (DiffusionMlpConfig, DiffusionUnetConfig)):
        return DiffusionPolicy(network, diffusion, shape, layout)
    if isinstance(network, (GaussianMlpConfig, GaussianTransformerConfig)):
        return GaussianPolicy(network, gaussian, shape, layout)
    return GmmPolicy(network, gaussian, shape, layout)
