# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The diffusion MLP: predicts the noise in an action chunk from its flattened entries.

Legend: B batch, To stacked observations, Do observation size, H chunk length, A action size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim_training.networks.config import DiffusionMlpConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.layers import PreparedSteps, SinusoidalEmbedding, make_mlp
from sim_training.networks.observation import ObservationEncoder, TensorObservation
from sim_training.networks.shape import PolicyShape


class DiffusionMlp(nn.Module):
    """Noise prediction eps(x, t, observation) with an MLP over the flattened chunk."""

    def __init__(
        self,
        config: DiffusionMlpConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build the time embedding, the observation encoder and the trunk.

        Args:
            config: layer sizes and options.
            shape: sizes of observation and chunk.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__()
        time_dim = config.time_dim
        self.time_embedding = nn.Sequential(
            SinusoidalEmbedding(time_dim),
            nn.Linear(time_dim, 2 * time_dim),
            nn.Mish(),
            nn.Linear(2 * time_dim, time_dim),
        )
        self.encoder = ObservationEncoder(
            config, shape, layout, config.cond_mlp_dims, config.activation_type
        )
        chunk_dim = shape.horizon_steps * shape.action_dim
        self.mlp_mean = make_mlp(
            [chunk_dim + time_dim + self.encoder.output_dim, *config.mlp_dims, chunk_dim],
            config.activation_type,
            config.residual_style,
            config.use_layernorm,
        )

    def encode_observation(self, observation: TensorObservation) -> Tensor:
        """Return the observation feature (B, F); once per chain."""
        return self.encoder(observation)

    def encode_time(self, time: Tensor) -> Tensor:
        """Return the time feature (B, d) of denoising times (B,)."""
        return self.time_embedding(time)

    def denoise(self, x: Tensor, time_feature: Tensor, obs_feature: Tensor) -> Tensor:
        """Return predicted noise (B, H, A) from a noisy chunk and both features."""
        trunk_in = torch.cat([x.flatten(1), time_feature, obs_feature], dim=-1)
        return self.mlp_mean(trunk_in).view_as(x)

    def prepare(self, observation: TensorObservation, times: Tensor) -> PreparedSteps:
        """Return the prediction of one chain's steps, without gradients.

        The first layer is split: what it makes of observation and times is computed here, once.

        Args:
            observation: B rows.
            times: (n,) denoising times of the steps.
        """
        first, rest = self.mlp_mean.layers[0], self.mlp_mean.layers[1:]
        assert isinstance(first, nn.Linear)
        feature, time_feature = self.encode_observation(observation), self.encode_time(times)
        time_dim = time_feature.shape[1]
        chunk_dim = first.in_features - time_dim - feature.shape[1]
        of_chunk, of_time, of_observation = first.weight.split(
            [chunk_dim, time_dim, feature.shape[1]], dim=1
        )
        base = functional.linear(feature, of_observation, first.bias)
        steps = functional.linear(time_feature, of_time)
        of_chunk = of_chunk.t()

        def predict(index: int, x: Tensor) -> Tensor:
            hidden = torch.addmm(base + steps[index], x.flatten(1), of_chunk)
            return rest(hidden).view_as(x)

        return predict

    def forward(self, x: Tensor, time: Tensor, observation: TensorObservation) -> Tensor:
        """Return predicted noise (B, H, A).

        Args:
            x: (B, H, A) noisy chunk.
            time: (B,) denoising times, 0 = cleanest.
            observation: normalised.
        """
        return self.denoise(x, self.encode_time(time), self.encode_observation(observation))
