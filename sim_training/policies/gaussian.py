# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Gaussian policy: one Gaussian over the whole chunk, hence a chain of one transition.

Evaluation uses the exact mean; the reference draws with a standard deviation of 1e-4 instead.

Legend: B batch, P transitions, H chunk length, A action size.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.diffusion.sampler import normal_log_prob
from sim_training.networks.config import GaussianConfig, GaussianNetworkConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.make import GaussianNetwork, make_gaussian_network
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.protocol import ChainSample, LogProbReduction
from sim_training.share import Share

ENTROPY_OF_UNIT_NORMAL = 0.5 * math.log(2.0 * math.pi * math.e)


class GaussianPolicy(nn.Module):
    """Gaussian policy over action chunks in normalised units; see `Policy`."""

    def __init__(
        self,
        network: GaussianNetworkConfig,
        gaussian: GaussianConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build the base network.

        Args:
            network: kind and layers.
            gaussian: standard deviation, squashing and clipping.
            shape: sizes.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__()
        self.config = gaussian
        self.shape = shape
        self.base: GaussianNetwork = make_gaussian_network(network, gaussian, shape, layout)
        self.actor_ft: GaussianNetwork | None = None

    @property
    def ft_positions(self) -> int:
        """One transition."""
        return 1

    @property
    def noise_blocks(self) -> int:
        """One block: the deviation from the mean."""
        return 1

    def start_finetuning(self) -> GaussianNetwork:
        """Freeze the base network and return its trainable copy."""
        self.actor_ft = copy.deepcopy(self.base)
        self.base.requires_grad_(False)
        return self.actor_ft

    def with_gaussian(self, gaussian: GaussianConfig) -> GaussianPolicy:
        """Return a copy with other deviations and clips, as when fine-tuning begins.

        Raises:
            ConfigError: the networks were not trained for these settings.
        """
        check_same_mean(self.config, gaussian)
        other = copy.deepcopy(self)
        other.config = gaussian
        for network in (other.base, other.actor_ft):
            if network is not None:
                network.log_std = network.log_std.with_config(gaussian)
        return other

    def bc_loss(
        self,
        chunk: Tensor,
        observation: TensorObservation,
        generator: torch.Generator,
        share: Share | None = None,
    ) -> Tensor:
        """Return the negative log-likelihood, the mean over all entries (a scalar).

        Args:
            chunk: (B, H, A) demonstrated actions, normalised.
            observation: normalised, B rows.
            generator: unused; nothing is drawn.
            share: unused likewise.
        """
        mean, std = _distribution(self.base, observation)
        return -normal_log_prob(chunk, mean, std).mean()

    def draw_noise(self, batch: int, generator: torch.Generator) -> Tensor:
        """Return the Gaussian numbers of a batch of chunks, (B, 1, H, A)."""
        shape = (batch, self.noise_blocks, self.shape.horizon_steps, self.shape.action_dim)
        return torch.randn(shape, generator=generator)

    @torch.no_grad()
    def act(
        self, observation: TensorObservation, noise: Tensor, use_base_policy: bool = False
    ) -> Tensor:
        """Return the mean chunks (B, H, A); the noise is not used."""
        mean, _ = _distribution(self._network(use_base_policy), observation)
        return self._clip_action(mean)

    @torch.no_grad()
    def sample(
        self,
        observation: TensorObservation,
        noise: Tensor,
        reduction: LogProbReduction,
        use_base_policy: bool = False,
    ) -> ChainSample:
        """Return exploring chunks; their chain is zeros, then the chunk.

        Args:
            observation: normalised, B rows.
            noise: (B, 1, H, A) standard normal numbers.
            reduction: how log-densities become one number.
            use_base_policy: draw from the frozen network.
        """
        mean, std = _distribution(self._network(use_base_policy), observation)
        limit = self.config.randn_clip_value
        chunk = mean + std * noise[:, 0].clamp(-limit, limit)
        chain = torch.stack([torch.zeros_like(chunk), chunk], 1)
        log_prob = reduction(normal_log_prob(chunk, mean, std)).unsqueeze(1)
        return ChainSample(self._clip_action(chunk), chain, log_prob)

    def log_prob(
        self,
        observation: TensorObservation,
        before: Tensor,
        after: Tensor,
        index: Tensor,
        reduction: LogProbReduction,
    ) -> Tensor:
        """Return reduced log-densities (P,) of chunks `after`; see `Policy.log_prob`.

        Clipping of noise and action is left out of the density, as for diffusion policies.
        """
        mean, std = _distribution(self._network(use_base_policy=False), observation)
        return reduction(normal_log_prob(after, mean, std))

    def entropy(self, observation: TensorObservation) -> Tensor:
        """Return the entropy per chunk entry, the mean over the batch (a scalar)."""
        _, log_std = self._network(use_base_policy=False)(observation)
        return log_std.float().mean() + ENTROPY_OF_UNIT_NORMAL

    def describe(self) -> dict[str, Any]:
        """Return how evaluation chooses the chunk."""
        return {"policy": "gaussian", "action": "mean"}

    def _network(self, use_base_policy: bool) -> GaussianNetwork:
        return self.base if use_base_policy or self.actor_ft is None else self.actor_ft

    def _clip_action(self, chunk: Tensor) -> Tensor:
        limit = self.config.final_action_clip_value
        return chunk if limit is None else chunk.clamp(-limit, limit)


def check_same_mean(old: GaussianConfig, new: GaussianConfig) -> None:
    """Raise a ConfigError if the mean would be squashed in another way than in training."""
    if old.tanh_mean != new.tanh_mean:
        raise ConfigError(
            f"gaussian.tanh_mean is {new.tanh_mean} but the policy was trained with "
            f"{old.tanh_mean}; use that"
        )


def _distribution(
    network: GaussianNetwork, observation: TensorObservation
) -> tuple[Tensor, Tensor]:
    mean, log_std = network(observation)
    return mean.float(), log_std.float().exp()
