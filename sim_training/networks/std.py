# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The standard deviation of Gaussian and mixture networks: constant, learnable or predicted.

Legend: B batch, M modes (mixtures only), H chunk length, A action size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import GaussianConfig


class LogStd(nn.Module):
    """Log standard deviation of every entry of a chunk."""

    log_variance: nn.Parameter | None

    def __init__(self, config: GaussianConfig, action_dim: int, num_modes: int | None) -> None:
        """Create the learnable numbers, if any.

        Args:
            config: kind and range.
            action_dim: A.
            num_modes: M; None for a single Gaussian.
        """
        super().__init__()
        self.config = config
        self.action_dim = action_dim
        self._modes = num_modes
        self._limits = 2.0 * math.log(config.std_min), 2.0 * math.log(config.std_max)
        self.log_variance = None
        if config.std == "per_dimension":
            start = 2.0 * math.log(config.fixed_std)
            self.log_variance = nn.Parameter(torch.full(((num_modes or 1) * action_dim,), start))

    def forward(self, mean: Tensor, predicted: Tensor | None = None) -> Tensor:
        """Return the log standard deviation, of the shape of `mean`.

        Args:
            mean: (B, H, A) or (B, M, H, A).
            predicted: what the head put out, of the same shape; only with std "head".
        """
        if predicted is not None:
            return 0.5 * self._in_range(predicted)
        if self.log_variance is None:
            return torch.full_like(mean, math.log(self.config.fixed_std))
        shape = (-1,) if self._modes is None else (self._modes, 1, mean.shape[-1])
        # Adam may step outside the range, where clamping stops every gradient, as in the reference.
        return 0.5 * self.log_variance.clamp(*self._limits).view(shape).expand_as(mean)

    def with_config(self, config: GaussianConfig) -> LogStd:
        """Return the same deviation with other settings; learned numbers are kept.

        Raises:
            ConfigError: a predicted deviation would have to appear or disappear.
        """
        if (config.std == "head") != (self.config.std == "head"):
            raise ConfigError(
                f"gaussian.std is {config.std!r} but the policy was trained with "
                f"{self.config.std!r}; a predicted deviation is part of the network, so keep "
                f"{self.config.std!r}"
            )
        other = LogStd(config, self.action_dim, self._modes)
        if other.log_variance is not None and self.log_variance is not None:
            other.log_variance = nn.Parameter(self.log_variance.detach().clone())
        return other

    def _in_range(self, log_variance: Tensor) -> Tensor:
        low, high = self._limits
        if self.config.std_range == "clamp":
            return log_variance.clamp(low, high)
        return low + 0.5 * (high - low) * (torch.tanh(log_variance) + 1.0)
