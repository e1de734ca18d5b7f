# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""State-value network. It sees the environment observation only, never a noisy action."""

from __future__ import annotations

from torch import Tensor, nn

from sim_training.networks.config import CriticConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.layers import make_mlp
from sim_training.networks.observation import ObservationEncoder, TensorObservation
from sim_training.networks.shape import PolicyShape


class StateCritic(nn.Module):
    """V(s) from the normalised observation history."""

    def __init__(
        self, config: CriticConfig, shape: PolicyShape, layout: ObservationLayout | None = None
    ) -> None:
        """Build encoder and MLP.

        Args:
            config: layer sizes and options.
            shape: sizes of the observation.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__()
        self.encoder = ObservationEncoder(config, shape, layout)
        self.mlp = make_mlp(
            [self.encoder.output_dim, *config.mlp_dims, 1],
            config.activation_type,
            config.residual_style,
            config.use_layernorm,
        )

    def forward(self, observation: TensorObservation) -> Tensor:
        """Return values (B,) of observations."""
        return self.mlp(self.encoder(observation)).squeeze(-1)
