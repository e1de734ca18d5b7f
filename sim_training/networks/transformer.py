# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transformer decoders of Gaussian and mixture policies: one query per chunk entry.

The observation is a single memory token, so cross-attention spreads it over the queries while
self-attention relates the entries of the chunk. No mask: an entry sees the whole chunk.

Legend: B batch, F features, M modes, H chunk length, A action size, e width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sim_training.networks.config import (
    GaussianConfig,
    GaussianTransformerConfig,
    GmmTransformerConfig,
)
from sim_training.networks.features import ObservationLayout
from sim_training.networks.observation import ObservationEncoder, TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.networks.std import LogStd

_INIT_STD = 0.02


class ChunkDecoder(nn.Module):
    """From an observation feature to one feature vector per chunk entry."""

    def __init__(self, features: int, horizon: int, width: int, heads: int, layers: int) -> None:
        """Build observation token, queries and decoder layers.

        Args:
            features: F.
            horizon: H.
            width: e.
            heads: attention heads; must divide the width.
            layers: decoder layers.
        """
        super().__init__()
        self.observation_token = nn.Linear(features, width)
        self.observation_position = nn.Parameter(torch.empty(1, 1, width))
        self.memory = nn.Sequential(
            nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width)
        )
        self.queries = nn.Parameter(torch.empty(1, horizon, width))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width,
                heads,
                dim_feedforward=4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.apply(init_normal)
        nn.init.normal_(self.queries, std=_INIT_STD)
        nn.init.normal_(self.observation_position, std=_INIT_STD)

    def forward(self, feature: Tensor) -> Tensor:
        """Map features (B, F) to entries (B, H, e)."""
        token = self.observation_token(feature).unsqueeze(1)
        memory = self.memory(token + self.observation_position)
        x = self.queries.expand(len(feature), -1, -1)
        for layer in self.layers:
            x = layer(x, memory)
        return self.norm(x)


class GaussianTransformer(nn.Module):
    """Mean and deviation of a Gaussian over the chunk; a predicted deviation doubles the head."""

    def __init__(
        self,
        config: GaussianTransformerConfig,
        gaussian: GaussianConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build encoder, decoder and head.

        Args:
            config: layer sizes and options.
            gaussian: kind of deviation, squashing.
            shape: sizes of observation and chunk.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__()
        self._tanh_mean = gaussian.tanh_mean
        self.encoder = ObservationEncoder(config, shape, layout)
        self.decoder = _decoder(config, self.encoder.output_dim, shape)
        outputs = shape.action_dim * (2 if gaussian.std == "head" else 1)
        self.head = _linear(config.embed_dim, outputs)
        self.log_std = LogStd(gaussian, shape.action_dim, None)

    def forward(self, observation: TensorObservation) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation, both (B, H, A)."""
        outputs = self.head(self.decoder(self.encoder(observation)))
        return _mean_and_log_std(outputs, self._tanh_mean, self.log_std)


class GmmTransformer(nn.Module):
    """Means, deviations and weights of a mixture of Gaussians over the chunk."""

    def __init__(
        self,
        config: GmmTransformerConfig,
        gaussian: GaussianConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build encoder, decoder and heads; see `GaussianTransformer`."""
        super().__init__()
        self._tanh_mean = gaussian.tanh_mean
        self._modes = config.num_modes
        self.encoder = ObservationEncoder(config, shape, layout)
        self.decoder = _decoder(config, self.encoder.output_dim, shape)
        outputs = config.num_modes * shape.action_dim * (2 if gaussian.std == "head" else 1)
        self.head = _linear(config.embed_dim, outputs)
        # As in the reference, this layer keeps torch's own initialisation.
        self.weights = nn.Linear(shape.horizon_steps * config.embed_dim, config.num_modes)
        self.log_std = LogStd(gaussian, shape.action_dim, config.num_modes)

    def forward(self, observation: TensorObservation) -> tuple[Tensor, Tensor, Tensor]:
        """Return means and log standard deviations (B, M, H, A) and logits of the modes (B, M)."""
        entries = self.decoder(self.encoder(observation))
        outputs = self.head(entries).unflatten(-1, (-1, self._modes, self.log_std.action_dim))
        by_mode = outputs.permute(0, 3, 1, 2, 4).flatten(3)
        mean, log_std = _mean_and_log_std(by_mode, self._tanh_mean, self.log_std)
        return mean, log_std, self.weights(entries.flatten(1))


def init_normal(module: nn.Module) -> None:
    """Initialise linear layers and attention: weights normal with 0.02, biases zero."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=_INIT_STD)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.MultiheadAttention):
        nn.init.normal_(module.in_proj_weight, std=_INIT_STD)
        nn.init.zeros_(module.in_proj_bias)


def _linear(size_in: int, size_out: int) -> nn.Linear:
    layer = nn.Linear(size_in, size_out)
    init_normal(layer)
    return layer


def _decoder(
    config: GaussianTransformerConfig | GmmTransformerConfig, features: int, shape: PolicyShape
) -> ChunkDecoder:
    return ChunkDecoder(
        features, shape.horizon_steps, config.embed_dim, config.num_heads, config.num_layers
    )


def _mean_and_log_std(outputs: Tensor, tanh_mean: bool, log_std: LogStd) -> tuple[Tensor, Tensor]:
    """Split the last dimension of head outputs: A means and, if predicted, A log-variances."""
    predicted = log_std.config.std == "head"
    mean, log_variance = outputs.chunk(2, dim=-1) if predicted else (outputs, None)
    if tanh_mean:
        mean = torch.tanh(mean)
    return mean, log_std(mean, log_variance)
