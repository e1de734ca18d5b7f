# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mixture policy: several Gaussians over the whole chunk, hence a chain of one transition.

Draws are not clipped to a range around the mean. Evaluation draws a mode and uses its exact mean;
the reference adds noise of standard deviation 1e-4 to it.

Legend: B batch, P transitions, M modes, H chunk length, A action size, h executed actions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sim_training.diffusion.sampler import normal_log_prob
from sim_training.networks.config import GaussianConfig, GmmNetworkConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.make import GmmNetwork, make_gmm_network
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.gaussian import ENTROPY_OF_UNIT_NORMAL
from sim_training.policies.one_transition import OneTransitionPolicy
from sim_training.policies.protocol import ChainSample, LogProbReduction
from sim_training.share import Share


class GmmPolicy(OneTransitionPolicy[GmmNetwork]):
    """Mixture policy over action chunks in normalised units; see `Policy`."""

    noise_blocks = 2
    """Two blocks: the deviation from the mean, and one that chooses the mode."""

    def __init__(
        self,
        network: GmmNetworkConfig,
        gaussian: GaussianConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build the base network.

        Args:
            network: kind and layers.
            gaussian: standard deviations, squashing and clipping.
            shape: sizes.
            layout: meaning of the observation; only for `relative_pairs`.
        """
        super().__init__(make_gmm_network(network, gaussian, shape, layout), gaussian, shape)

    def bc_loss(
        self,
        chunk: Tensor,
        observation: TensorObservation,
        generator: torch.Generator,
        share: Share | None = None,
    ) -> Tensor:
        """Return the negative log-likelihood of whole chunks, the mean over the batch (a scalar).

        Args:
            chunk: (B, H, A) demonstrated actions, normalised.
            observation: normalised, B rows.
            generator: unused; nothing is drawn.
            share: unused likewise.
        """
        return -_joint_log_prob(chunk, *self._mixture(observation, self.base)).mean()

    @torch.no_grad()
    def act(
        self, observation: TensorObservation, noise: Tensor, use_base_policy: bool = False
    ) -> Tensor:
        """Return the means (B, H, A) of drawn modes.

        Args:
            observation: normalised, B rows.
            noise: (B, 2, H, A) standard normal numbers; block 1 chooses the mode.
            use_base_policy: use the frozen network.
        """
        mean, _, logits = self._mixture(observation, self.acting_network(use_base_policy))
        return self.clip_action(_of_mode(mean, _choose_mode(logits, noise)))

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
            noise: (B, 2, H, A) standard normal numbers: deviation, choice of the mode.
            reduction: how the joint density becomes one number; see `log_prob`.
            use_base_policy: draw from the frozen network.
        """
        mean, std, logits = self._mixture(observation, self.acting_network(use_base_policy))
        mode = _choose_mode(logits, noise)
        chunk = _of_mode(mean, mode) + _of_mode(std, mode) * noise[:, 0]
        chain = torch.stack([torch.zeros_like(chunk), chunk], 1)
        log_prob = _reduced_log_prob(chunk, mean, std, logits, reduction).unsqueeze(1)
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

        A mixture has no density per entry. Its joint density over the h executed actions, divided
        by their h A entries, is clamped to the limits; "mean" returns this and "sum" multiplies
        it by h A again. The reference clamps the joint density itself to [-5, 2], which leaves
        most chunks without a gradient.
        """
        mean, std, logits = self._mixture(observation, self.acting_network())
        return _reduced_log_prob(after, mean, std, logits, reduction)

    def entropy(self, observation: TensorObservation) -> Tensor:
        """Return the weighted entropy of the modes per chunk entry (a scalar).

        A bound from below: the entropy of a mixture has no closed form.
        """
        _, log_std, logits = self.acting_network()(observation)
        per_mode = log_std.float().flatten(2).mean(-1) + ENTROPY_OF_UNIT_NORMAL
        return (logits.float().softmax(-1) * per_mode).sum(-1).mean()

    def describe(self) -> dict[str, Any]:
        """Return how evaluation chooses the chunk."""
        return {"policy": "gmm", "action": "mean of a drawn mode"}

    def _mixture(
        self, observation: TensorObservation, network: GmmNetwork
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return means and deviations (B, M, H, A) and logits (B, M)."""
        mean, log_std, logits = network(observation)
        return mean.float(), log_std.float().exp(), logits.float()


def _choose_mode(logits: Tensor, noise: Tensor) -> Tensor:
    """Return modes (B,): the inverse of the cumulated weights at a uniform number.

    The uniform number is the normal distribution function of one entry of noise block 1, so that
    one source of normal numbers serves every policy.
    """
    uniform = 0.5 * (1.0 + torch.erf(noise[:, 1, 0, :1] / math.sqrt(2.0)))
    cumulated = logits.softmax(-1).cumsum(-1)
    return (uniform > cumulated).sum(-1).clamp(max=logits.shape[-1] - 1)


def _of_mode(values: Tensor, mode: Tensor) -> Tensor:
    """Return the rows (B, H, A) of values (B, M, H, A) that belong to the modes (B,)."""
    return values[torch.arange(len(mode), device=mode.device), mode]


def _joint_log_prob(chunk: Tensor, mean: Tensor, std: Tensor, logits: Tensor) -> Tensor:
    """Return the log-density (B,) of chunks (B, h, A) under a mixture (B, M, h, A)."""
    per_mode = normal_log_prob(chunk.unsqueeze(1), mean, std).flatten(2).sum(-1)
    return torch.logsumexp(logits.log_softmax(-1) + per_mode, dim=-1)


def _reduced_log_prob(
    chunk: Tensor, mean: Tensor, std: Tensor, logits: Tensor, reduction: LogProbReduction
) -> Tensor:
    executed = slice(None, reduction.reward_horizon)
    kept = chunk[:, executed]
    joint = _joint_log_prob(kept, mean[:, :, executed], std[:, :, executed], logits)
    entries = kept[0].numel()
    per_entry = (joint / entries).clamp(*reduction.limits)
    return per_entry if reduction.reduction == "mean" else per_entry * entries
