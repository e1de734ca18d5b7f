# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What training, evaluation and export need from a policy over action chunks.

One algorithm fine-tunes every kind of policy because each of them acts by a chain of Gaussian (or
mixture) transitions: a diffusion policy by its K fine-tuned denoising steps, a Gaussian or mixture
policy by a single one, whose input (entry 0 of the chain) is unused. PPO on a Gaussian policy is
the case K = 1.

Legend: B batch, P transitions, To stacked observations, Do observation size, H chunk length,
A action size, K fine-tuned transitions of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.share import Share

LOG_PROB_RANGE = (-5.0, 2.0)
"""Elementwise log-probabilities are clamped to this before they are reduced."""


@dataclass(frozen=True)
class LogProbReduction:
    """From the log-densities of a transition's entries to one number.

    Attributes:
        reward_horizon: only the first chunk entries count, those that are executed.
        reduction: "mean" over entries and dimensions (the ratio is then the geometric mean of the
            elementwise ratios), or "sum", the joint density.
        limits: each entry is clamped to this before.
    """

    reward_horizon: int
    reduction: Literal["mean", "sum"] = "mean"
    limits: tuple[float, float] = LOG_PROB_RANGE

    def __call__(self, log_prob: Tensor) -> Tensor:
        """Return one number (P,) per transition from elementwise log-densities (P, H, A)."""
        kept = log_prob.clamp(*self.limits)[:, : self.reward_horizon].flatten(1)
        return kept.mean(1) if self.reduction == "mean" else kept.sum(1)


@dataclass(frozen=True)
class ChainSample:
    """A sampled chunk with what fine-tuning needs to know about it.

    Attributes:
        chunk: (B, H, A) chunk, clipped as configured; what is executed.
        chain: (B, K+1, H, A) input of the first fine-tuned transition, then the K outputs,
            unclipped.
        log_prob: (B, K) reduced log-density of every fine-tuned transition.
    """

    chunk: Tensor
    chain: Tensor
    log_prob: Tensor


class Policy(Protocol):
    """A policy over action chunks in normalised units; also a `torch.nn.Module`."""

    @property
    def shape(self) -> PolicyShape:
        """Sizes."""
        ...

    @property
    def base(self) -> nn.Module:
        """What pre-training trains; frozen while fine-tuning."""
        ...

    @property
    def actor_ft(self) -> nn.Module | None:
        """The trainable copy while fine-tuning, else None."""
        ...

    @property
    def ft_positions(self) -> int:
        """K, the transitions of a chunk that fine-tuning changes."""
        ...

    @property
    def noise_blocks(self) -> int:
        """Blocks of (H, A) Gaussian numbers that one chunk consumes."""
        ...

    def start_finetuning(self) -> nn.Module:
        """Freeze the base network and return its trainable copy."""
        ...

    def bc_loss(
        self,
        chunk: Tensor,
        observation: TensorObservation,
        generator: torch.Generator,
        share: Share | None = None,
    ) -> Tensor:
        """Return the behaviour-cloning loss (a scalar) of demonstrated chunks (B, H, A).

        Args:
            chunk: normalised.
            observation: normalised, B rows.
            generator: source of whatever is drawn.
            share: the rows that these are of a batch for all of which is drawn; None: all.
        """
        ...

    def draw_noise(self, batch: int, generator: torch.Generator) -> Tensor:
        """Return the Gaussian numbers of a batch of chunks, (B, noise_blocks, H, A)."""
        ...

    def act(
        self, observation: TensorObservation, noise: Tensor, use_base_policy: bool = False
    ) -> Tensor:
        """Return chunks (B, H, A) without exploration, as evaluated and deployed."""
        ...

    def sample(
        self,
        observation: TensorObservation,
        noise: Tensor,
        reduction: LogProbReduction,
        use_base_policy: bool = False,
    ) -> ChainSample:
        """Return exploring chunks with their chain and its log-probabilities."""
        ...

    def log_prob(
        self,
        observation: TensorObservation,
        before: Tensor,
        after: Tensor,
        index: Tensor,
        reduction: LogProbReduction,
    ) -> Tensor:
        """Return reduced log-densities (P,) of fine-tuned transitions.

        Args:
            observation: P rows.
            before: (P, H, A) chain entries.
            after: (P, H, A) the entries that follow.
            index: (P,) position inside the fine-tuned part, 0 ... K-1.
            reduction: how entries become one number.
        """
        ...

    def entropy(self, observation: TensorObservation) -> Tensor:
        """Return the mean entropy (a scalar) that an entropy bonus rewards."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what an evaluation report states about how the policy acted."""
        ...

    def parameters(self) -> Any:  # noqa: ANN401  (an iterator, as of torch.nn.Module)
        """Return all parameters, as `torch.nn.Module` does."""
        ...
