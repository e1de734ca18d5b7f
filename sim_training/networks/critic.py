# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""State-value network. It sees the environment observation only, never a noisy action."""

from __future__ import annotations

from torch import Tensor, nn

from sim_training.networks.config import CriticConfig
from sim_training.networks.features import ObservationFeatures, ObservationLayout
from sim_training.networks.mlp import make_mlp


class StateCritic(nn.Module):
    """V(s) from the flattened, normalised observation history."""

    def __init__(
        self,
        config: CriticConfig,
        obs_dim: int,
        cond_steps: int,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build the MLP.

        Args:
            config: layer sizes and options.
            obs_dim: observation size Do.
            cond_steps: stacked observations To.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__()
        self.features = ObservationFeatures(
            config.obs_fourier_features, config.relative_pairs, obs_dim, cond_steps, layout
        )
        self.mlp = make_mlp(
            [self.features.output_dim, *config.mlp_dims, 1],
            config.activation_type,
            config.residual_style,
            config.use_layernorm,
        )

    def forward(self, state: Tensor) -> Tensor:
        """Return values (B,) of states (B, To, Do)."""
        return self.mlp(self.features(state)).squeeze(-1)
