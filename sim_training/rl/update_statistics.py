# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of the PPO epochs of one iteration, also per denoising position."""

from __future__ import annotations

import torch
from torch import Tensor

from sim_training.metrics import Metrics
from sim_training.rl.targets import PolicyLoss


class UpdateStatistics:
    """Sums over minibatches, turned into means at the end."""

    def __init__(self, positions: int, device: str) -> None:
        """Start empty for K fine-tuned positions."""
        self.actor_s = 0.0
        self.critic_s = 0.0
        self.actor_grad_norm = 0.0
        self.stopped_early = False
        self._policy_batches = 0
        self._value_batches = 0
        self._policy_loss = 0.0
        self._value_loss = 0.0
        self._critic_grad_norm = 0.0
        self._bc_loss = 0.0
        self._ratio = 0.0
        self._largest_ratio_change = 0.0
        self._count = torch.zeros(positions, device=device)
        self._kl = torch.zeros(positions, device=device)
        self._clipped = torch.zeros(positions, device=device)

    def add_policy(self, result: PolicyLoss, position: Tensor) -> float:
        """Take in one actor minibatch and return its approximate KL divergence."""
        kl = result.ratio - 1.0 - result.log_ratio
        self._policy_batches += 1
        self._policy_loss += float(result.loss.detach())
        self._ratio += float(result.ratio.mean())
        change = float((result.ratio - 1.0).abs().max())
        self._largest_ratio_change = max(self._largest_ratio_change, change)
        self._count.index_add_(0, position, torch.ones_like(kl))
        self._kl.index_add_(0, position, kl)
        self._clipped.index_add_(0, position, result.clipped)
        return float(kl.mean())

    def add_value(self, loss: Tensor, grad_norm: float) -> None:
        """Take in one critic minibatch."""
        self._value_batches += 1
        self._value_loss += float(loss.detach())
        self._critic_grad_norm += grad_norm

    def add_bc(self, loss: Tensor) -> None:
        """Take in one behaviour-cloning term."""
        self._bc_loss += float(loss.detach())

    def metrics(self) -> Metrics:
        """Return means under metric names; nothing about the actor if it was not trained."""
        values = max(self._value_batches, 1)
        metrics = {
            "losses/value_loss": self._value_loss / values,
            "losses/critic_grad_norm": self._critic_grad_norm / values,
            "time/actor_s": self.actor_s,
            "time/critic_s": self.critic_s,
        }
        if not self._policy_batches:
            return metrics
        batches = self._policy_batches
        count = self._count.clamp(min=1.0)
        metrics |= {
            "losses/policy_loss": self._policy_loss / batches,
            "losses/actor_grad_norm": self.actor_grad_norm / batches,
            "losses/approx_kl": float(self._kl.sum() / count.sum()),
            "losses/clipfrac": float(self._clipped.sum() / count.sum()),
            "losses/ratio_mean": self._ratio / batches,
            "losses/ratio_max_change": self._largest_ratio_change,
            "losses/actor_minibatches": float(batches),
            "losses/stopped_early": float(self.stopped_early),
        }
        if self._bc_loss:
            metrics["losses/bc_loss"] = self._bc_loss / batches
        for index, (kl, clipped) in enumerate(
            zip((self._kl / count).tolist(), (self._clipped / count).tolist(), strict=True)
        ):
            metrics[f"diffusion/approx_kl_{index}"] = kl
            metrics[f"diffusion/clipfrac_{index}"] = clipped
        return metrics
