# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Intervals and tests for few trials, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.statistics import paired_difference, sign_test, wilson_interval


@pytest.mark.parametrize(
    ("positive", "negative", "p"),
    [(0, 0, 1.0), (1, 1, 1.0), (5, 0, 2 / 32), (6, 0, 2 / 64), (1, 7, 18 / 256)],
)
def test_sign_test_counts_coin_tosses(positive: int, negative: int, p: float) -> None:
    assert sign_test(positive, negative) == pytest.approx(p)
    assert sign_test(negative, positive) == pytest.approx(p)


def test_constant_difference_has_no_width() -> None:
    found = paired_difference([1.0] * 8, [3.0] * 8)
    assert (found.mean, found.low, found.high) == (2.0, 2.0, 2.0)
    assert (found.first_better, found.second_better) == (8, 0)
    assert found.is_clear


def test_interval_covers_the_mean_and_is_repeatable() -> None:
    generator = np.random.default_rng(4)
    first, second = generator.normal(size=30), generator.normal(0.1, size=30)
    found = paired_difference(first, second)
    assert found == paired_difference(first, second)
    assert found.low < found.mean < found.high
    # The bootstrap agrees with the normal interval of a mean.
    spread = 1.96 * np.std(second - first, ddof=1) / np.sqrt(30)
    assert found.high - found.low == pytest.approx(2 * spread, rel=0.1)
    swapped = paired_difference(second, first)
    assert swapped.mean == pytest.approx(-found.mean)


def test_wilson_interval_by_hand() -> None:
    assert wilson_interval(96, 100) == pytest.approx((0.9016, 0.9843), abs=1e-4)
    assert wilson_interval(40, 40)[1] == 1.0


def test_wilson_interval_without_trials_knows_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
