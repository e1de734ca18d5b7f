# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Value networks: of an observation, never of a noisy action, and of an observation with a chunk.

Legend: B batch, h executed actions, A action size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sim_training.networks.config import CriticConfig, QCriticConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.layers import make_mlp
from sim_training.networks.observation import ObservationEncoder, TensorObservation
from sim_training.networks.shape import PolicyShape


class StateCritic(nn.Module):
    """V(s) from the normalised observation history, with images if the settings say so."""

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


class StateActionCritic(nn.Module):
    """Q(s, a) of the executed part of a chunk, from one network or two independent ones."""

    def __init__(
        self, config: QCriticConfig, shape: PolicyShape, layout: ObservationLayout | None = None
    ) -> None:
        """Build encoder and MLPs.

        Args:
            config: layer sizes and options.
            shape: sizes of observation and chunk.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__()
        self.encoder = ObservationEncoder(config, shape, layout)
        sizes = [self.encoder.output_dim + shape.act_steps * shape.action_dim, *config.mlp_dims, 1]
        self.mlps = nn.ModuleList(
            make_mlp(sizes, config.activation_type, config.residual_style, config.use_layernorm)
            for _ in range(2 if config.double_q else 1)
        )

    def forward(self, observation: TensorObservation, actions: Tensor) -> Tensor:
        """Return values (B, 2), or (B, 1) without double Q; the smaller one is the safe estimate.

        Args:
            observation: normalised, B rows.
            actions: (B, h, A) executed actions, normalised.
        """
        joined = torch.cat([self.encoder(observation), actions.flatten(1)], dim=-1)
        return torch.cat([mlp(joined) for mlp in self.mlps], dim=-1)
