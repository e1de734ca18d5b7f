# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Running reward scaling: divide by the standard deviation of discounted reward sums.

Per environment g <- r + 0.99 (1 - first) g continues over iterations; all values of g feed running
mean and variance. Rewards are divided by that deviation, including the present iteration, and
clipped. The mean is not subtracted. The 0.99 is independent of the task's gamma.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_DISCOUNT = 0.99
_CLIP = 10.0
_EPSILON = 1e-8


class RunningRewardScaling:
    """Statistics of discounted reward sums over a whole run, in float64."""

    def __init__(self, n_envs: int) -> None:
        """Start with mean 0, variance 1 and a vanishing count."""
        self.mean = 0.0
        self.variance = 1.0
        self.count = 1e-4
        self._sums = torch.zeros(n_envs, dtype=torch.float64)

    def __call__(self, rewards: Tensor, first: Tensor) -> Tensor:
        """Take in an iteration's rewards and return them scaled.

        Args:
            rewards: (M, N) raw rewards.
            first: (M, N) whether step m is the first of an episode.

        Returns:
            (M, N) float32.
        """
        raw = rewards.to("cpu", torch.float64)
        keep = (~first).to("cpu", torch.float64)
        sums = torch.empty_like(raw)
        for m in range(len(raw)):
            self._sums = raw[m] + _DISCOUNT * keep[m] * self._sums
            sums[m] = self._sums
        self._merge(sums)
        scale = (self.variance + _EPSILON) ** 0.5
        return (rewards / scale).clamp(-_CLIP, _CLIP).to(torch.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return statistics and the unfinished sums."""
        return {
            "mean": self.mean,
            "variance": self.variance,
            "count": self.count,
            "sums": self._sums,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.mean = float(state["mean"])
        self.variance = float(state["variance"])
        self.count = float(state["count"])
        self._sums = state["sums"].clone()

    def _merge(self, sums: Tensor) -> None:
        count = sums.numel()
        mean, variance = float(sums.mean()), float(sums.var(unbiased=False))
        total = self.count + count
        delta = mean - self.mean
        squares = self.variance * self.count + variance * count
        squares += delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.variance = squares / (total - 1.0)
        self.count = total
