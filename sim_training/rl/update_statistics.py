# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of the PPO epochs of one iteration, also per denoising position."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sim_training.distributed import World
from sim_training.metrics import VALUE_LOSS, Histograms, Metrics
from sim_training.rl.targets import PolicyLoss

_QUANTILES = {"p01": 0.01, "p50": 0.5, "p99": 0.99}
_HISTOGRAM_POINTS = 1000


class UpdateStatistics:
    """Collects over minibatches; turned into means and quantiles at the end."""

    def __init__(self, positions: int, device: torch.device | str) -> None:
        """Start empty for K fine-tuned positions."""
        self.actor_s = 0.0
        self.critic_s = 0.0
        self.stopped_early = False
        self._policy_batches = 0
        self._value_batches = 0
        self._policy_loss = 0.0
        self._value_loss = 0.0
        self._actor_grad_norm = 0.0
        self._critic_grad_norm = 0.0
        self._bc_loss = 0.0
        self._position: list[Tensor] = []
        self._log_ratio: list[Tensor] = []
        self._sorted: dict[int, Tensor] | None = None
        self._count = torch.zeros(positions, device=device)
        self._kl = torch.zeros(positions, device=device)
        self._clipped = torch.zeros(positions, device=device)

    def add_policy(
        self, result: PolicyLoss, position: Tensor, grad_norm: float, bc_loss: float = 0.0
    ) -> None:
        """Take in one optimiser step of the actor.

        Args:
            result: the loss of its pairs.
            position: (P,) their denoising positions.
            grad_norm: of the actor.
            bc_loss: the behaviour-cloning term.
        """
        kl = result.kl
        self._policy_batches += 1
        self._policy_loss += float(result.loss)
        self._actor_grad_norm += grad_norm
        self._bc_loss += bc_loss
        self._sorted = None
        self._position.append(position)
        self._log_ratio.append(result.log_ratio)
        self._count.index_add_(0, position, torch.ones_like(kl))
        self._kl.index_add_(0, position, kl)
        self._clipped.index_add_(0, position, result.clipped)

    def add_value(self, loss: float, grad_norm: float) -> None:
        """Take in one optimiser step of the critic."""
        self._value_batches += 1
        self._value_loss += loss
        self._critic_grad_norm += grad_norm

    def take_in_all(self, world: World) -> None:
        """Add what the other processes saw of the same optimiser steps; once, at the end."""
        if world.size == 1:
            return
        losses = [self._policy_loss, self._value_loss, self._bc_loss]
        summed = world.add(torch.tensor(losses, dtype=torch.float64)).tolist()
        self._policy_loss, self._value_loss, self._bc_loss = summed
        self._count, self._kl, self._clipped = (
            world.add(sums) for sums in (self._count, self._kl, self._clipped)
        )
        if self._policy_batches:
            device = self._count.device
            own = (torch.cat(self._position).cpu(), torch.cat(self._log_ratio).cpu())
            parts = world.gather(own)
            self._position = [position.to(device) for position, _ in parts]
            self._log_ratio = [log_ratio.to(device) for _, log_ratio in parts]

    def metrics(self) -> Metrics:
        """Return means under metric names; nothing about the actor if it was not trained."""
        values = max(self._value_batches, 1)
        metrics = {
            VALUE_LOSS: self._value_loss / values,
            "losses/critic_grad_norm": self._critic_grad_norm / values,
            "time/actor_s": self.actor_s,
            "time/critic_s": self.critic_s,
        }
        if not self._policy_batches:
            return metrics
        batches = self._policy_batches
        count = self._count.clamp(min=1.0)
        ratio = torch.cat(self._log_ratio).exp()
        metrics |= {
            "losses/policy_loss": self._policy_loss / batches,
            "losses/actor_grad_norm": self._actor_grad_norm / batches,
            "losses/approx_kl": float(self._kl.sum() / count.sum()),
            "losses/clipfrac": float(self._clipped.sum() / count.sum()),
            "losses/ratio_mean": float(ratio.mean()),
            "losses/ratio_max_change": float((ratio - 1.0).abs().max()),
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
        for index, ratios in self._sorted_ratios().items():
            quantiles = _order_statistics(ratios, _QUANTILES.values()).tolist()
            for name, value in zip(_QUANTILES, quantiles, strict=True):
                metrics[f"diffusion/ratio_{name}_{index}"] = value
        return metrics

    def histograms(self) -> Histograms:
        """Return the distribution of the ratio at every position, as 1000 of its quantiles."""
        points = [(i + 0.5) / _HISTOGRAM_POINTS for i in range(_HISTOGRAM_POINTS)]
        return {
            f"diffusion/ratio_{index}": _order_statistics(ratios, points).cpu().numpy()
            for index, ratios in self._sorted_ratios().items()
        }

    def _sorted_ratios(self) -> dict[int, Tensor]:
        """Return the ratios of every position that was trained, in ascending order."""
        if self._sorted is None:
            position = torch.cat(self._position) if self._position else torch.zeros(0)
            ratio = torch.cat(self._log_ratio).exp() if self._position else torch.zeros(0)
            chosen = {i: ratio[position == i] for i in range(len(self._count))}
            self._sorted = {i: part.sort().values for i, part in chosen.items() if len(part)}
        return self._sorted


def _order_statistics(ordered: Tensor, shares: Iterable[float]) -> Tensor:
    """Return the members of a sorted sample that are nearest to its quantiles."""
    wanted = torch.tensor(list(shares), device=ordered.device)
    return ordered[(wanted * (len(ordered) - 1)).round().long()]
