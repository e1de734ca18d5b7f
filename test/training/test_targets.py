# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Advantages, PPO loss pieces and reward scaling against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sim_training.policies.protocol import LogProbReduction
from sim_training.rl.reward_scaling import RunningRewardScaling
from sim_training.rl.targets import (
    ReturnInputs,
    clip_coefficients,
    denoising_discounts,
    explained_variance,
    gae,
    ppo_policy_loss,
    shape_advantages,
    value_loss,
)

GAMMA, LAMBDA = 0.9, 0.8


def column(*values: float) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


def inputs(terminated: tuple[int, ...] = (), truncated: tuple[int, ...] = ()) -> ReturnInputs:
    """Rewards 1, 2, 3; values 10, 20, 30; value after the last step 40; final value 7."""
    flags = [torch.zeros(3, 1, dtype=torch.bool) for _ in range(2)]
    for flag, steps in zip(flags, (terminated, truncated), strict=True):
        flag[list(steps)] = True
    return ReturnInputs(
        rewards=column(1.0, 2.0, 3.0),
        values=column(10.0, 20.0, 30.0),
        last_values=torch.tensor([40.0]),
        terminated=flags[0],
        truncated=flags[1],
        final_values=column(7.0, 7.0, 7.0),
    )


def test_gae_without_an_episode_end() -> None:
    # d2 = 3 + .9*40 - 30 = 9; d1 = 2 + .9*30 - 20 = 9; d0 = 1 + .9*20 - 10 = 9
    # A2 = 9; A1 = 9 + .72*9 = 15.48; A0 = 9 + .72*15.48 = 20.1456
    advantages, returns = gae(inputs(), GAMMA, LAMBDA)
    torch.testing.assert_close(advantages, column(20.1456, 15.48, 9.0))
    torch.testing.assert_close(returns, column(30.1456, 35.48, 39.0))


def test_gae_terminal_has_no_future() -> None:
    # d1 = 2 - 20 = -18, cut; A0 = 9 + .72*(-18) = -3.96
    advantages, _ = gae(inputs(terminated=(1,)), GAMMA, LAMBDA)
    torch.testing.assert_close(advantages, column(-3.96, -18.0, 9.0))


def test_gae_truncation_bootstraps_from_the_true_last_observation() -> None:
    # d1 = 2 + .9*7 - 20 = -11.7, cut; A0 = 9 + .72*(-11.7) = 0.576
    advantages, _ = gae(inputs(truncated=(1,)), GAMMA, LAMBDA)
    torch.testing.assert_close(advantages, column(0.576, -11.7, 9.0))


def test_gae_truncation_at_the_last_step_does_not_use_the_next_episode() -> None:
    # d2 = 3 + .9*7 - 30 = -20.7
    advantages, _ = gae(inputs(truncated=(2,)), GAMMA, LAMBDA)
    assert float(advantages[2]) == pytest.approx(-20.7)


def test_gae_reference_mode_leaks_into_the_next_episode() -> None:
    leaking, _ = gae(inputs(truncated=(1,)), GAMMA, LAMBDA, "reference")
    unbroken, _ = gae(inputs(), GAMMA, LAMBDA)
    torch.testing.assert_close(leaking, unbroken)


def test_gae_terminal_mode_counts_time_limits_as_terminals() -> None:
    as_terminal, _ = gae(inputs(truncated=(1,)), GAMMA, LAMBDA, "terminal")
    terminal, _ = gae(inputs(terminated=(1,)), GAMMA, LAMBDA)
    torch.testing.assert_close(as_terminal, terminal)


@pytest.mark.parametrize("truncation", ["bootstrap", "terminal", "reference"])
def test_gae_bootstraps_where_the_simulator_failed_in_every_mode(truncation: str) -> None:
    failed = torch.zeros(3, 1, dtype=torch.bool)
    failed[1] = True
    advantages, _ = gae(replace(inputs(truncated=(1,)), failed=failed), GAMMA, LAMBDA, truncation)
    torch.testing.assert_close(advantages, column(0.576, -11.7, 9.0))


def test_clip_coefficients_of_rate_zero_are_linear() -> None:
    clip = clip_coefficients(0.01, 0.001, 0.0, 4)
    assert clip.tolist() == pytest.approx([0.001, 0.004, 0.007, 0.01])
    assert clip_coefficients(0.01, 0.001, 1e-5, 4).tolist() == pytest.approx(clip.tolist(), 1e-4)


def test_clip_coefficients_run_from_base_to_full() -> None:
    clip = clip_coefficients(0.01, 0.001, 3.0, 5)
    assert float(clip[0]) == pytest.approx(0.001)
    assert float(clip[-1]) == pytest.approx(0.01)
    middle = 0.001 + 0.009 * (math.exp(1.5) - 1) / (math.exp(3.0) - 1)
    assert float(clip[2]) == pytest.approx(middle, rel=1e-5)
    assert clip_coefficients(0.01, 0.001, 3.0, 1).tolist() == pytest.approx([0.01])


def test_denoising_discount_weights_the_last_step_fully() -> None:
    assert denoising_discounts(0.9, 3).tolist() == pytest.approx([0.81, 0.9, 1.0])


def test_log_prob_reduction_clamps_then_keeps_the_executed_part() -> None:
    log_prob = torch.tensor([[[9.0, -9.0], [1.0, 1.0], [50.0, 50.0]]])
    assert float(LogProbReduction(2, "mean")(log_prob)) == pytest.approx((2 - 5 + 1 + 1) / 4)
    assert float(LogProbReduction(2, "sum")(log_prob)) == pytest.approx(-1.0)


def test_advantages_are_standardised_then_cut_at_quantiles() -> None:
    raw = torch.tensor([0.0, 1.0, 2.0, 3.0, 100.0])
    plain = shape_advantages(raw, True, 0.0, 1.0)
    assert float(plain.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(plain.std()) == pytest.approx(1.0, abs=1e-5)
    cut = shape_advantages(raw, True, 0.25, 0.75)
    assert float(cut.max()) == pytest.approx(float(plain[3]))
    assert float(cut.min()) == pytest.approx(float(plain[1]))
    assert torch.equal(shape_advantages(raw[:1], True, 0.0, 1.0), raw[:1])


def test_ppo_loss_takes_the_pessimistic_side() -> None:
    old = torch.zeros(4)
    new = torch.tensor([1.5, 0.5, 1.5, 0.5]).log()
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    result = ppo_policy_loss(new, old, advantages, torch.full((4,), 0.2))
    assert float(result.loss) == pytest.approx((-1.2 - 0.5 + 1.5 + 0.8) / 4)
    assert result.clipped.tolist() == [1.0, 1.0, 1.0, 1.0]


def test_value_loss_with_and_without_clip() -> None:
    values, old, returns = torch.tensor([2.0]), torch.tensor([0.0]), torch.tensor([3.0])
    assert float(value_loss(values, old, returns, None)) == pytest.approx(0.5)
    assert float(value_loss(values, old, returns, 0.5)) == pytest.approx(0.5 * 2.5**2)


def test_explained_variance_of_perfect_and_useless_values() -> None:
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(returns, returns) == pytest.approx(1.0)
    assert explained_variance(torch.zeros(3), returns) == pytest.approx(0.0)
    assert explained_variance(returns, torch.ones(3)) == 0.0


def test_reward_scaling_equals_a_direct_computation_over_iterations() -> None:
    rng = np.random.default_rng(0)
    scaling = RunningRewardScaling(3)
    sums = np.zeros(3)
    pooled: list[np.ndarray] = []
    for _ in range(4):
        rewards = rng.normal(2.0, 3.0, (50, 3))
        first = rng.random((50, 3)) < 0.1
        for reward, start in zip(rewards, first, strict=True):
            sums = reward + 0.99 * np.where(start, 0.0, sums)
            pooled.append(sums.copy())
        scaled = scaling(torch.tensor(rewards, dtype=torch.float32), torch.tensor(first))
        # Exact after one iteration; merging rounds by one part in the sample size afterwards.
        deviation = np.concatenate(pooled).std(ddof=1)
        tolerance = 1e-5 if len(pooled) == 50 else 5e-3
        assert scaling.variance**0.5 == pytest.approx(deviation, rel=tolerance)
    expected = np.clip(rewards / math.sqrt(scaling.variance + 1e-8), -10, 10)
    np.testing.assert_allclose(scaled.numpy(), expected, rtol=1e-5)
    again = RunningRewardScaling(3)
    again.load_state_dict(scaling.state_dict())
    more, none = torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    assert torch.equal(again(more, none), scaling(more, none))
