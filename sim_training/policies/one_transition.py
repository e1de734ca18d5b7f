# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What Gaussian and mixture policies share: one transition per chunk, base network and its copy.

Legend: B batch, H chunk length, A action size.
"""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import GaussianConfig
from sim_training.networks.make import GaussianNetwork, GmmNetwork
from sim_training.networks.shape import PolicyShape

Network = TypeVar("Network", GaussianNetwork, GmmNetwork)
Self = TypeVar("Self", bound="OneTransitionPolicy")  # type: ignore[type-arg]


class OneTransitionPolicy(nn.Module, Generic[Network]):
    """Part of a `Policy` whose chain has one transition; the distribution is the subclass's."""

    noise_blocks: int
    """Blocks of (H, A) Gaussian numbers that one chunk consumes."""

    def __init__(self, network: Network, gaussian: GaussianConfig, shape: PolicyShape) -> None:
        """Take over the base network.

        Args:
            network: maps observations to the parameters of the distribution.
            gaussian: standard deviation, squashing and clipping.
            shape: sizes.
        """
        super().__init__()
        self.config = gaussian
        self.shape = shape
        self.base: Network = network
        self.actor_ft: Network | None = None

    @property
    def ft_positions(self) -> int:
        """One transition."""
        return 1

    def start_finetuning(self) -> Network:
        """Freeze the base network and return its trainable copy."""
        self.actor_ft = copy.deepcopy(self.base)
        self.base.requires_grad_(False)
        return self.actor_ft

    def with_gaussian(self: Self, gaussian: GaussianConfig) -> Self:
        """Return a copy with other deviations and clips, as when fine-tuning begins.

        Raises:
            ConfigError: the networks were not trained for these settings.
        """
        if self.config.tanh_mean != gaussian.tanh_mean:
            raise ConfigError(
                f"gaussian.tanh_mean is {gaussian.tanh_mean} but the policy was trained with "
                f"{self.config.tanh_mean}; use that"
            )
        other = copy.deepcopy(self)
        other.config = gaussian
        for network in (other.base, other.actor_ft):
            if network is not None:
                network.log_std = network.log_std.with_config(gaussian)
        return other

    def draw_noise(self, batch: int, generator: torch.Generator) -> Tensor:
        """Return the Gaussian numbers of a batch of chunks, (B, noise_blocks, H, A)."""
        shape = (batch, self.noise_blocks, self.shape.horizon_steps, self.shape.action_dim)
        return torch.randn(shape, generator=generator)

    def acting_network(self, use_base_policy: bool = False) -> Network:
        """Return the fine-tuned network, or the base if there is none or it is asked for."""
        return self.base if use_base_policy or self.actor_ft is None else self.actor_ft

    def clip_action(self, chunk: Tensor) -> Tensor:
        """Return what is executed of a chunk (B, H, A)."""
        limit = self.config.final_action_clip_value
        return chunk if limit is None else chunk.clamp(-limit, limit)
