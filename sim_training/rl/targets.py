# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Advantages and PPO losses as plain functions.

Legend: M chunk steps, N environments, P minibatch of (chunk, denoising position) pairs,
K fine-tuned denoising steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LINEAR_RATE = 1e-6
"""Below this the exponential between two clips is a straight line."""


@dataclass(frozen=True)
class ReturnInputs:
    """What the advantage computation needs; tensors (M, N) unless noted.

    Attributes:
        rewards: scaled rewards per chunk.
        values: V(s_m).
        last_values: (N,) V of the observation after the last step.
        terminated: the task ended at step m.
        truncated: the time limit was reached at step m (False where terminated).
        final_values: V of the true last observation; only read where truncated.
        failed: truncated because the simulator failed; none where it cannot.
    """

    rewards: Tensor
    values: Tensor
    last_values: Tensor
    terminated: Tensor
    truncated: Tensor
    final_values: Tensor
    failed: Tensor | None = None


def gae(
    inputs: ReturnInputs, gamma: float, gae_lambda: float, truncation: str = "bootstrap"
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns, (M, N) each (Schulman et al. 2016, Eq. 16).

    Args:
        inputs: rewards, values and episode ends.
        gamma: discount per chunk.
        gae_lambda: the lambda of the estimator.
        truncation: "bootstrap": the value of the true last observation follows a time limit, and
            the recursion is cut at every episode end. "terminal": a time limit counts as a
            terminal. "reference": the next recorded observation's value follows a time limit and
            the recursion runs on into the next episode, as the DPPO reference does.

    An episode that a failing simulator ended says nothing about the task: its end is bootstrapped
    and cut in every mode.
    """
    steps = len(inputs.rewards)
    following = torch.cat([inputs.values[1:], inputs.last_values.unsqueeze(0)])
    terminal = inputs.terminated
    ended = inputs.terminated | inputs.truncated
    if truncation == "bootstrap":
        following = torch.where(inputs.truncated, inputs.final_values, following)
    elif truncation == "terminal":
        terminal = ended
    cut = inputs.terminated if truncation == "reference" else ended
    if inputs.failed is not None:
        following = torch.where(inputs.failed, inputs.final_values, following)
        terminal, cut = terminal & ~inputs.failed, cut | inputs.failed
    delta = inputs.rewards + gamma * following * (~terminal) - inputs.values
    advantages = torch.zeros_like(delta)
    carry = torch.zeros_like(inputs.last_values)
    for m in reversed(range(steps)):
        carry = delta[m] + gamma * gae_lambda * (~cut[m]) * carry
        advantages[m] = carry
    return advantages, advantages + inputs.values


def clip_coefficients(coef: float, base: float, rate: float, positions: int) -> Tensor:
    """Return the ratio clip of every fine-tuned position (K,), `base` first and `coef` last.

    Exponential in between, linear with a rate of 0; with a single position it is `coef`.
    """
    if positions == 1:
        return torch.tensor([coef])
    u = torch.linspace(0.0, 1.0, positions, dtype=torch.float64)
    shape = u
    if abs(rate) > _LINEAR_RATE:
        shape = torch.expm1(rate * u) / torch.expm1(torch.tensor(rate, dtype=torch.float64))
    return (base + (coef - base) * shape).to(torch.float32)


def denoising_discounts(gamma_denoising: float, positions: int) -> Tensor:
    """Return gamma_denoising ** (K-1-i) for every position i (K,); the last step weighs 1."""
    exponent = torch.arange(positions - 1, -1, -1, dtype=torch.float64)
    return (gamma_denoising**exponent).to(torch.float32)


def shape_advantages(
    advantages: Tensor, normalise: bool, lower_quantile: float, upper_quantile: float
) -> Tensor:
    """Return minibatch advantages (P,), standardised and then limited to their quantiles."""
    if normalise and len(advantages) > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    if lower_quantile > 0.0 or upper_quantile < 1.0:
        limits = torch.quantile(
            advantages, torch.tensor([lower_quantile, upper_quantile], device=advantages.device)
        )
        advantages = advantages.clamp(limits[0], limits[1])
    return advantages


@dataclass(frozen=True)
class PolicyLoss:
    """Clipped PPO loss (a scalar) with its diagnostics per pair (P,)."""

    loss: Tensor
    ratio: Tensor
    log_ratio: Tensor
    clipped: Tensor

    @property
    def kl(self) -> Tensor:
        """(P,) estimates of the divergence from the acting network (Schulman's k3)."""
        return self.ratio - 1.0 - self.log_ratio

    def scaled(self, share: float) -> PolicyLoss:
        """Return it with a loss that counts only so much."""
        return PolicyLoss(self.loss * share, self.ratio, self.log_ratio, self.clipped)

    def detached(self) -> PolicyLoss:
        """Return the numbers without their graph."""
        return PolicyLoss(self.loss.detach(), self.ratio, self.log_ratio, self.clipped)

    @staticmethod
    def joined(parts: Sequence[tuple[PolicyLoss, float]]) -> PolicyLoss:
        """Return the loss of all parts, each given with its share of the pairs."""
        losses = [part for part, _ in parts]
        return PolicyLoss(
            torch.stack([part.loss * share for part, share in parts]).sum(),
            torch.cat([part.ratio for part in losses]),
            torch.cat([part.log_ratio for part in losses]),
            torch.cat([part.clipped for part in losses]),
        )


def ppo_policy_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: Tensor) -> PolicyLoss:
    """Return the clipped surrogate loss (Schulman et al. 2017, Eq. 7).

    Args:
        new: (P,) reduced log-probabilities under the current network.
        old: (P,) the same under the network that acted.
        advantages: (P,) shaped and discounted advantages.
        clip: (P,) half-width of the ratio clip.
    """
    log_ratio = new - old
    ratio = log_ratio.exp()
    limited = torch.minimum(torch.maximum(ratio, 1.0 - clip), 1.0 + clip)
    loss = torch.maximum(-advantages * ratio, -advantages * limited).mean()
    with torch.no_grad():
        clipped = ((ratio - 1.0).abs() > clip).float()
    return PolicyLoss(loss, ratio.detach(), log_ratio.detach(), clipped)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float | None) -> Tensor:
    """Return half the mean squared value error, pessimistically clipped if `clip` is given."""
    squared = (values - returns) ** 2
    if clip is not None:
        limited = old_values + (values - old_values).clamp(-clip, clip)
        squared = torch.maximum(squared, (limited - returns) ** 2)
    return 0.5 * squared.mean()


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """Return 1 - Var(returns - values) / Var(returns); NaN-free (0 for constant returns)."""
    variance = returns.var()
    if not bool(variance > 0):
        return 0.0
    return float(1.0 - (returns - values).var() / variance)
