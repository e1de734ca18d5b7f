# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Intervals and tests for few trials: what a success rate or a difference is worth. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_WILSON_Z95 = 1.959963984540054
_RESAMPLES = 4000


@dataclass(frozen=True)
class PairedDifference:
    """A difference that was measured on the same items twice.

    Attributes:
        count: Items.
        mean: Mean difference, second minus first.
        low: Lower end of the 95 % interval of the mean (bootstrap over the items).
        high: Upper end.
        sign_p: Two-sided p-value of the sign test; ties are left out.
        first_better: Items with a positive difference: there the first was smaller.
        second_better: Items with a negative difference.
    """

    count: int
    mean: float
    low: float
    high: float
    sign_p: float
    first_better: int
    second_better: int

    @property
    def is_clear(self) -> bool:
        """Return whether the interval excludes zero and the sign test agrees at 5 %."""
        return self.low * self.high > 0.0 and self.sign_p < 0.05


def wilson_interval(successes: int, trials: int, z: float = _WILSON_Z95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (95 % by default)."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1.0 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def sign_test(positive: int, negative: int) -> float:
    """Return the two-sided p-value of so many positive and negative differences."""
    trials = positive + negative
    if trials == 0:
        return 1.0
    tail = sum(math.comb(trials, k) for k in range(min(positive, negative) + 1)) / 2**trials
    return min(1.0, 2.0 * tail)


def paired_difference(first: ArrayLike, second: ArrayLike) -> PairedDifference:
    """Return how a second measurement differs from a first one on the same items.

    Args:
        first: (n,) values, n >= 1.
        second: (n,) values of the same items.
    """
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    # Seeded: the same measurements always give the same interval.
    chosen = np.random.default_rng(0).integers(0, differences.size, (_RESAMPLES, differences.size))
    low, high = np.percentile(differences[chosen].mean(axis=1), (2.5, 97.5))
    positive, negative = int((differences > 0).sum()), int((differences < 0).sum())
    return PairedDifference(
        count=differences.size,
        mean=float(differences.mean()),
        low=float(low),
        high=float(high),
        sign_p=sign_test(positive, negative),
        first_better=positive,
        second_better=negative,
    )
