# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Gaussian policy: one Gaussian over the whole chunk, hence a chain of one transition.

Evaluation uses the exact mean; the reference draws with a standard deviation of 1e-4 instead.

Legend: B batch, P transitions, H chunk length, A action size.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sim_training.diffusion.sampler import normal_log_prob
from sim_training.networks.config import GaussianConfig, GaussianNetworkConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.make import GaussianNetwork, make_gaussian_network
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.one_transition import OneTransitionPolicy
from sim_training.policies.protocol import ChainSample, LogProbReduction
from sim_training.share import Share

ENTROPY_OF_UNIT_NORMAL = 0.5 * math.log(2.0 * math.pi * math.e)


class GaussianPolicy(OneTransitionPolicy[GaussianNetwork]):
    """Gaussian policy over action chunks in normalised units; see `Policy`."""

    noise_blocks = 1
    """One block: the deviation from the mean."""

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
        super().__init__(make_gaussian_network(network, gaussian, shape, layout), gaussian, shape)

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

    @torch.no_grad()
    def act(
        self, observation: TensorObservation, noise: Tensor, use_base_policy: bool = False
    ) -> Tensor:
        """Return the mean chunks (B, H, A); the noise is not used."""
        mean, _ = _distribution(self.acting_network(use_base_policy), observation)
        return self.clip_action(mean)

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
        mean, std = _distribution(self.acting_network(use_base_policy), observation)
        limit = self.config.randn_clip_value
        chunk = mean + std * noise[:, 0].clamp(-limit, limit)
        chain = torch.stack([torch.zeros_like(chunk), chunk], 1)
        log_prob = reduction(normal_log_prob(chunk, mean, std)).unsqueeze(1)
        return ChainSample(self.clip_action(chunk), chain, log_prob)

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
        mean, std = _distribution(self.acting_network(), observation)
        return reduction(normal_log_prob(after, mean, std))

    def entropy(self, observation: TensorObservation) -> Tensor:
        """Return the entropy per chunk entry, the mean over the batch (a scalar)."""
        _, log_std = self.acting_network()(observation)
        return log_std.float().mean() + ENTROPY_OF_UNIT_NORMAL

    def describe(self) -> dict[str, Any]:
        """Return how evaluation chooses the chunk."""
        return {"policy": "gaussian", "action": "mean"}


def _distribution(
    network: GaussianNetwork, observation: TensorObservation
) -> tuple[Tensor, Tensor]:
    mean, log_std = network(observation)
    return mean.float(), log_std.float().exp()
