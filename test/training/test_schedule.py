# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Noise schedule, step coefficients and learning-rate schedule against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dppo_ros.core.errors import ConfigError
from sim_training.algorithms.config import ScheduleConfig
from sim_training.diffusion.sampler import step_mean
from sim_training.diffusion.schedule import (
    cosine_schedule,
    ddim_steps,
    ddim_times,
    ddpm_steps,
    predicting_sample,
)
from sim_training.learning_rate import learning_rate


def test_betas_of_five_steps() -> None:
    expected = [0.1012941, 0.2795438, 0.4736353, 0.7240524, 0.999]
    np.testing.assert_allclose(cosine_schedule(5).betas, expected, atol=1e-7)


def test_ddim_times_and_levels_of_the_furniture_setting() -> None:
    schedule = cosine_schedule(100)
    assert ddim_times(100, 5).tolist() == [80, 60, 40, 20, 0]
    expected = [0.0851462, 0.3261152, 0.6325157, 0.8891031, 0.9993687]
    np.testing.assert_allclose(schedule.alphas_cumprod[[80, 60, 40, 20, 0]], expected, atol=2e-7)


def test_ddpm_coefficients_are_the_gaussian_posterior() -> None:
    """The posterior of x_{t-1} is the product of the prior from x0 and the likelihood of x_t."""
    schedule = cosine_schedule(12)
    steps = ddpm_steps(schedule)
    for position, t in enumerate(steps.time.tolist()):
        if t == 0:
            assert float(steps.mean_from_x0[position]) == 1.0
            assert float(steps.mean_from_x[position]) == 0.0
            assert float(steps.std[position]) == pytest.approx(1e-10)
            continue
        beta = float(schedule.betas[t])
        before = float(schedule.alphas_cumprod[t - 1])
        prior_precision = 1.0 / (1.0 - before)
        likelihood_precision = (1.0 - beta) / beta
        variance = 1.0 / (prior_precision + likelihood_precision)
        from_x0 = variance * prior_precision * math.sqrt(before)
        from_x = variance * math.sqrt(1.0 - beta) / beta
        assert float(steps.mean_from_x0[position]) == pytest.approx(from_x0, rel=1e-4)
        assert float(steps.mean_from_x[position]) == pytest.approx(from_x, rel=1e-4)
        assert float(steps.std[position]) == pytest.approx(math.sqrt(variance), rel=1e-4)


def _ddim_by_hand(
    x: torch.Tensor, noise: torch.Tensor, alpha: float, previous: float, eta: float
) -> tuple[torch.Tensor, float]:
    clean = ((x - math.sqrt(1 - alpha) * noise) / math.sqrt(alpha)).clamp(-1, 1)
    noise = (x - math.sqrt(alpha) * clean) / math.sqrt(1 - alpha)
    sigma = max(eta * math.sqrt((1 - previous) / (1 - alpha) * (1 - alpha / previous)), 1e-10)
    rest = math.sqrt(max(0.0, 1 - previous - sigma**2))
    return math.sqrt(previous) * clean + rest * noise, sigma


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_linear_form_equals_the_ddim_step_with_recomputed_noise(eta: float) -> None:
    schedule = cosine_schedule(100)
    steps = ddim_steps(schedule, 5, eta)
    generator = torch.Generator().manual_seed(0)
    x = 1.5 * torch.randn(3, 4, 2, generator=generator)
    noise = torch.randn(3, 4, 2, generator=generator)
    levels = [*schedule.alphas_cumprod[steps.time.numpy()].astype(float).tolist(), 1.0]
    for position in range(5):
        mean, sigma = _ddim_by_hand(x, noise, levels[position], levels[position + 1], eta)
        actual = step_mean(steps, position, x, noise, 1.0)
        torch.testing.assert_close(actual, mean, atol=2e-5, rtol=1e-5)
        assert float(steps.std[position]) == pytest.approx(sigma, rel=1e-5)


def test_ddim_with_all_steps_and_eta_one_is_ddpm() -> None:
    schedule = cosine_schedule(8)
    ddim, ddpm = ddim_steps(schedule, 8, 1.0), ddpm_steps(schedule)
    torch.testing.assert_close(ddim.std, ddpm.std, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(ddim.mean_from_x0, ddpm.mean_from_x0, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ddim.mean_from_x, ddpm.mean_from_x, atol=1e-5, rtol=1e-4)


def test_positions_may_differ_within_a_batch() -> None:
    steps = ddim_steps(cosine_schedule(20), 4, 1.0)
    x, noise = torch.randn(4, 2, 3), torch.randn(4, 2, 3)
    together = step_mean(steps, torch.arange(4), x, noise, 1.0)
    alone = [step_mean(steps, i, x[i : i + 1], noise[i : i + 1], 1.0) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(
    ("count", "times"), [(5, [99, 79, 59, 39, 19]), (3, [99, 66, 32]), (1, [99])]
)
def test_trailing_times_begin_at_the_noisiest(count: int, times: list[int]) -> None:
    assert ddim_times(100, count, "trailing").tolist() == times


def test_trailing_with_all_steps_is_leading() -> None:
    assert ddim_times(12, 12, "trailing").tolist() == ddim_times(12, 12).tolist()


def test_a_predicted_sample_and_the_noise_that_implies_it_make_the_same_step() -> None:
    """The two are tied together by x = sqrt(a) x0 + sqrt(1 - a) eps."""
    schedule = cosine_schedule(100)
    steps = ddim_steps(schedule, 5, 0.6, "trailing")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 2, generator=generator)
    clean = 0.8 * torch.rand(3, 4, 2, generator=generator)
    for position, time in enumerate(steps.time.tolist()):
        level = float(schedule.alphas_cumprod[time])
        noise = (x - math.sqrt(level) * clean) / math.sqrt(1 - level)
        expected = step_mean(steps, position, x, noise, 1.0)
        actual = step_mean(predicting_sample(steps), position, x, clean, 1.0)
        # At time 99 the noise says almost nothing about the clean chunk in single precision.
        torch.testing.assert_close(actual, expected, atol=2e-5 / math.sqrt(level), rtol=0)


def test_impossible_step_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="ddim_steps is 6"):
        ddim_times(5, 6)
    with pytest.raises(ConfigError, match="denoising_steps is 0"):
        cosine_schedule(0)


def test_learning_rate_warms_up_decays_and_restarts() -> None:
    config = ScheduleConfig(lr=1.0, min_lr=0.1, warmup_steps=10, first_cycle_steps=110)
    assert learning_rate(config, 0, 999) == pytest.approx(0.1)
    assert learning_rate(config, 5, 999) == pytest.approx(0.55)
    assert learning_rate(config, 10, 999) == pytest.approx(1.0)
    assert learning_rate(config, 60, 999) == pytest.approx(0.55)
    assert learning_rate(config, 109, 999) == pytest.approx(0.1, abs=1e-3)
    assert learning_rate(config, 115, 999) == learning_rate(config, 5, 999)
    whole_run = ScheduleConfig(lr=1.0, min_lr=0.1, warmup_steps=0)
    assert learning_rate(whole_run, 50, 100) == pytest.approx(0.55)
