# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one-dimensional UNet: predicts the noise in an action chunk by convolutions along the chunk.

Down: each level but the last halves the chunk. Up: each level joins the features that the way
down left at its length, then doubles it. Time and observation enter every block as a scale and a
shift per channel (FiLM).

Legend: B batch, H chunk length, A action size, C channels, L length at a level, F features,
d time features, G = d + F.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import DiffusionUnetConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.layers import PreparedSteps, SinusoidalEmbedding, make_activation
from sim_training.networks.observation import ObservationEncoder, TensorObservation
from sim_training.networks.shape import PolicyShape


class ConvBlock(nn.Sequential):
    """Convolution that keeps the length, group normalisation, activation."""

    def __init__(self, config: DiffusionUnetConfig, size_in: int, size_out: int) -> None:
        """Build the three layers for `size_in` to `size_out` channels."""
        padding = config.kernel_size // 2
        super().__init__(
            nn.Conv1d(size_in, size_out, config.kernel_size, padding=padding),
            nn.GroupNorm(config.n_groups, size_out, eps=config.groupnorm_eps),
            make_activation(config.activation_type),
        )


class FilmBlock(nn.Module):
    """Two convolution blocks with a shortcut; the condition scales and shifts between them."""

    def __init__(
        self, config: DiffusionUnetConfig, size_in: int, size_out: int, condition_dim: int
    ) -> None:
        """Build the layers.

        Args:
            config: kernel, groups, kind of conditioning.
            size_in: channels in.
            size_out: channels out.
            condition_dim: G.
        """
        super().__init__()
        self.first = ConvBlock(config, size_in, size_out)
        self.second = ConvBlock(config, size_out, size_out)
        self.scales = config.cond_predict_scale
        width = 2 * size_out if self.scales else size_out
        activation = config.activation_type
        if config.smaller_encoder or config.cond_mlp_dims:
            self.film = nn.Sequential(make_activation(activation), nn.Linear(condition_dim, width))
        else:
            self.film = nn.Sequential(
                nn.Linear(condition_dim, width),
                make_activation(activation),
                nn.Linear(width, width),
                make_activation(activation),
                nn.Linear(width, width),
            )
        self.shortcut = nn.Conv1d(size_in, size_out, 1) if size_in != size_out else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (B, C_in, L) to (B, C_out, L) under conditions (B, G)."""
        hidden = self.first(x)
        film = self.film(condition).unsqueeze(-1)
        if self.scales:
            scale, shift = film.chunk(2, dim=1)
            hidden = scale * hidden + shift
        else:
            hidden = hidden + film
        return self.second(hidden) + self.shortcut(x)


class Level(nn.Module):
    """Two FiLM blocks at one length, then the change to the next length, if any."""

    def __init__(self, blocks: Sequence[FilmBlock], resample: nn.Module | None = None) -> None:
        """Hold the blocks and the resampling convolution (None: keep the length)."""
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.resample = nn.Identity() if resample is None else resample

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at the next length, and those before the change of length."""
        for block in self.blocks:
            x = block(x, condition)
        return self.resample(x), x


class DiffusionUnet(nn.Module):
    """Noise prediction eps(x, t, observation) with a UNet over the chunk."""

    def __init__(
        self,
        config: DiffusionUnetConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build the time embedding, the observation encoder and the levels.

        Args:
            config: channels and options.
            shape: sizes of observation and chunk.
            layout: meaning of the observation; only for `relative_pairs`.

        Raises:
            ConfigError: the chunk cannot be halved as often as the levels ask for.
        """
        super().__init__()
        _check_horizon(shape.horizon_steps, len(config.dim_mults))
        time_dim = config.time_dim
        self.time_embedding = nn.Sequential(
            SinusoidalEmbedding(time_dim),
            nn.Linear(time_dim, 4 * time_dim),
            nn.Mish(),
            nn.Linear(4 * time_dim, time_dim),
        )
        self.encoder = ObservationEncoder(
            config, shape, layout, config.cond_mlp_dims, config.activation_type
        )
        condition_dim = time_dim + self.encoder.output_dim

        def block(size_in: int, size_out: int) -> FilmBlock:
            return FilmBlock(config, size_in, size_out, condition_dim)

        channels = [config.dim * multiple for multiple in config.dim_mults]
        self.down = nn.ModuleList()
        for index, (size_in, size) in enumerate(itertools.pairwise([shape.action_dim, *channels])):
            last = index == len(channels) - 1
            resample = None if last else nn.Conv1d(size, size, 3, stride=2, padding=1)
            self.down.append(Level([block(size_in, size), block(size, size)], resample))
        deepest = channels[-1]
        self.middle = Level([block(deepest, deepest), block(deepest, deepest)])
        self.up = nn.ModuleList()
        for size, size_in in reversed(list(itertools.pairwise(channels))):
            resample_up = nn.ConvTranspose1d(size, size, 4, stride=2, padding=1)
            self.up.append(Level([block(2 * size_in, size), block(size, size)], resample_up))
        self.head = nn.Sequential(
            ConvBlock(config, channels[0], channels[0]), nn.Conv1d(channels[0], shape.action_dim, 1)
        )

    def encode_observation(self, observation: TensorObservation) -> Tensor:
        """Return the observation feature (B, F); once per chain."""
        return self.encoder(observation)

    def encode_time(self, time: Tensor) -> Tensor:
        """Return the time feature (B, d) of denoising times (B,)."""
        return self.time_embedding(time)

    def denoise(self, x: Tensor, time_feature: Tensor, obs_feature: Tensor) -> Tensor:
        """Return predicted noise (B, H, A) from a noisy chunk and both features."""
        condition = torch.cat([time_feature, obs_feature], dim=-1)
        hidden = x.transpose(1, 2)
        skips: list[Tensor] = []
        for level in self.down:
            hidden, skip = level(hidden, condition)
            skips.append(skip)
        hidden, _ = self.middle(hidden, condition)
        for level in self.up:
            hidden, _ = level(torch.cat([hidden, skips.pop()], dim=1), condition)
        return self.head(hidden).transpose(1, 2)

    def prepare(self, observation: TensorObservation, times: Tensor) -> PreparedSteps:
        """Return the prediction of one chain's steps; see `DiffusionMlp.prepare`."""
        feature, time_features = self.encode_observation(observation), self.encode_time(times)

        def predict(index: int, x: Tensor) -> Tensor:
            return self.denoise(x, time_features[index].expand(len(x), -1), feature)

        return predict

    def forward(self, x: Tensor, time: Tensor, observation: TensorObservation) -> Tensor:
        """Return predicted noise (B, H, A).

        Args:
            x: (B, H, A) noisy chunk.
            time: (B,) denoising times, 0 = cleanest.
            observation: normalised.
        """
        return self.denoise(x, self.encode_time(time), self.encode_observation(observation))


def _check_horizon(horizon: int, levels: int) -> None:
    divisor = 2 ** (levels - 1)
    if horizon % divisor:
        below = horizon - horizon % divisor
        choice = f"{below} or {below + divisor}" if below else str(divisor)
        raise ConfigError(
            f"horizon_steps is {horizon} but a UNet with {levels} levels halves the chunk "
            f"{levels - 1} times, so it must be divisible by {divisor}; use {choice}, or fewer "
            "entries in network.dim_mults"
        )
