# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MLPs of Gaussian and mixture policies: means, deviations and mode weights of a whole chunk.

Legend: B batch, F features, M modes, H chunk length, A action size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sim_training.networks.config import GaussianConfig, GaussianMlpConfig, GmmMlpConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.layers import PlainMlp, make_activation, make_mlp
from sim_training.networks.observation import ObservationEncoder, TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.networks.std import LogStd


class GaussianMlp(nn.Module):
    """Mean and deviation of a Gaussian over the chunk.

    A predicted deviation has a linear head beside that of the mean, on a shared trunk; with an
    image encoder it is a small MLP of its own on the features, as in the reference.
    """

    def __init__(
        self,
        config: GaussianMlpConfig,
        gaussian: GaussianConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build encoder, trunk and heads.

        Args:
            config: layer sizes and options.
            gaussian: kind of deviation, squashing.
            shape: sizes of observation and chunk.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__()
        self._chunk = (shape.horizon_steps, shape.action_dim)
        self._tanh_mean = gaussian.tanh_mean
        self.encoder = ObservationEncoder(config, shape, layout)
        features, chunk_dim = self.encoder.output_dim, shape.horizon_steps * shape.action_dim
        self.trunk: nn.Module = nn.Identity()
        self.std_head: nn.Module | None = None
        if gaussian.std == "head" and config.vision is None:
            self.trunk = _shared_trunk(config, features)
            self.mean: nn.Module = nn.Linear(config.mlp_dims[-1], chunk_dim)
            self.std_head = nn.Linear(config.mlp_dims[-1], chunk_dim)
        else:
            self.mean = _mlp(config, features, chunk_dim)
        if gaussian.std == "head" and config.vision is not None:
            sizes = [features, *config.mlp_dims[-1:], chunk_dim]
            self.std_head = PlainMlp(sizes, config.activation_type, config.use_layernorm)
        self.log_std = LogStd(gaussian, shape.action_dim, None)

    def forward(self, observation: TensorObservation) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation, both (B, H, A)."""
        hidden = self.trunk(self.encoder(observation))
        mean = self.mean(hidden)
        if self._tanh_mean:
            mean = torch.tanh(mean)
        mean = mean.unflatten(1, self._chunk)
        if self.std_head is None:
            return mean, self.log_std(mean)
        return mean, self.log_std(mean, self.std_head(hidden).unflatten(1, self._chunk))


class GmmMlp(nn.Module):
    """Means, deviations and weights of a mixture of Gaussians over the chunk, an MLP for each."""

    def __init__(
        self,
        config: GmmMlpConfig,
        gaussian: GaussianConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build encoder and MLPs; see `GaussianMlp`."""
        super().__init__()
        self._modes = (config.num_modes, shape.horizon_steps, shape.action_dim)
        self._tanh_mean = gaussian.tanh_mean
        self.encoder = ObservationEncoder(config, shape, layout)
        features = self.encoder.output_dim
        outputs = config.num_modes * shape.horizon_steps * shape.action_dim
        self.mean = _mlp(config, features, outputs)
        self.std_head: nn.Module | None = None
        if gaussian.std == "head":
            self.std_head = _mlp(config, features, outputs)
        self.weights = _mlp(config, features, config.num_modes)
        self.log_std = LogStd(gaussian, shape.action_dim, config.num_modes)

    def forward(self, observation: TensorObservation) -> tuple[Tensor, Tensor, Tensor]:
        """Return means and log standard deviations (B, M, H, A) and logits of the modes (B, M)."""
        hidden = self.encoder(observation)
        mean = self.mean(hidden)
        if self._tanh_mean:
            mean = torch.tanh(mean)
        mean = mean.unflatten(1, self._modes)
        logits = self.weights(hidden)
        if self.std_head is None:
            return mean, self.log_std(mean), logits
        return mean, self.log_std(mean, self.std_head(hidden).unflatten(1, self._modes)), logits


def _mlp(config: GaussianMlpConfig | GmmMlpConfig, features: int, outputs: int) -> nn.Module:
    return make_mlp(
        [features, *config.mlp_dims, outputs],
        config.activation_type,
        config.residual_style,
        config.use_layernorm,
    )


def _shared_trunk(config: GaussianMlpConfig, features: int) -> nn.Module:
    """An MLP whose output, of the last hidden size, is normalised and activated as well."""
    layers: list[nn.Module] = [
        make_mlp(
            [features, *config.mlp_dims],
            config.activation_type,
            config.residual_style,
            config.use_layernorm,
        )
    ]
    if config.use_layernorm:
        layers.append(nn.LayerNorm(config.mlp_dims[-1]))
    layers.append(make_activation(config.activation_type))
    return nn.Sequential(*layers)
