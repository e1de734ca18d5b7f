# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much noise each step gets, in training and in evaluation, and the smallest chains."""

from __future__ import annotations

import pytest
import torch

from sim_training.config_file import merge
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.diffusion.schedule import cosine_schedule, ddim_steps, ddpm_steps
from sim_training.networks.config import DiffusionMlpConfig
from sim_training.networks.shape import PolicyShape
from sim_training.policies.protocol import LogProbReduction

SHAPE = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=4, act_steps=2)
WHOLE = LogProbReduction(4)
OBSERVATION = {"state": torch.zeros(6, 1, 3)}


def make(config: DiffusionConfig) -> DiffusionPolicy:
    torch.manual_seed(0)
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), config, SHAPE)
    policy.start_finetuning()
    return policy


def noise_of(policy: DiffusionPolicy, position: int, evaluate: bool) -> float:
    """Return the noise of a step: how far one unit more of it moves what the step puts out.

    In evaluation what it moves is the final chunk, which tells only whether there is any.
    """
    config = policy.config
    noise = policy.draw_noise(6, torch.Generator().manual_seed(0)) * 0.1
    louder = noise.clone()
    louder[:, position + 1] += 1.0
    if evaluate:
        one, two = policy.act(OBSERVATION, noise), policy.act(OBSERVATION, louder)
    else:
        one = policy.sample(OBSERVATION, noise, WHOLE).chain
        two = policy.sample(OBSERVATION, louder, WHOLE).chain
        first = config.chain_steps - config.ft_denoising_steps
        one, two = one[:, position + 1 - first], two[:, position + 1 - first]
    return float((two - one).mean())


@pytest.mark.parametrize("use_ddim", [True, False])
def test_training_noise_has_a_floor_at_every_step_also_the_last(use_ddim: bool) -> None:
    config = DiffusionConfig(
        denoising_steps=8,
        use_ddim=use_ddim,
        ddim_steps=4,
        ft_denoising_steps=4 if use_ddim else 8,
        min_sampling_denoising_std=0.15,
    )
    schedule = cosine_schedule(8)
    bare = (ddim_steps(schedule, 4, 1.0) if use_ddim else ddpm_steps(schedule)).std
    policy = make(config)
    measured = [noise_of(policy, i, evaluate=False) for i in range(config.chain_steps)]
    assert measured == pytest.approx(bare.clamp(min=0.15).tolist(), abs=1e-5)
    assert measured[-1] == pytest.approx(0.15, abs=1e-5)
    assert max(measured) > 0.2


def test_frozen_steps_explore_as_well() -> None:
    policy = make(DiffusionConfig(denoising_steps=8, ft_denoising_steps=2))
    assert float(policy.tables.sampling_std.min()) == pytest.approx(0.1)
    noise = policy.draw_noise(6, torch.Generator().manual_seed(0))
    louder = noise.clone()
    louder[:, 1] += 1.0
    one, two = (policy.sample(OBSERVATION, n, WHOLE).chain[:, 0] for n in (noise, louder))
    assert not torch.allclose(one, two)


def test_evaluation_with_ddpm_keeps_posterior_noise_but_none_at_the_end() -> None:
    policy = make(DiffusionConfig(denoising_steps=8, ft_denoising_steps=3))
    expected = ddpm_steps(cosine_schedule(8)).std.clamp(min=1e-3)
    expected[-1] = 0.0
    torch.testing.assert_close(policy.tables.evaluation.std, expected)
    assert noise_of(policy, 7, evaluate=True) == 0.0
    assert noise_of(policy, 6, evaluate=True) != 0.0


def test_evaluation_with_ddim_has_no_noise_and_no_eta() -> None:
    config = DiffusionConfig(denoising_steps=8, use_ddim=True, ddim_steps=4, ft_denoising_steps=3)
    policy = make(config)
    still = ddim_steps(cosine_schedule(8), 4, 0.0)
    torch.testing.assert_close(policy.tables.evaluation.mean_from_x, still.mean_from_x)
    torch.testing.assert_close(policy.tables.evaluation.mean_from_x0, still.mean_from_x0)
    assert policy.tables.evaluation.std.tolist() == [0.0] * 4
    assert [noise_of(policy, i, evaluate=True) for i in range(4)] == [0.0] * 4


def test_whole_numbers_are_as_good_as_decimals_for_the_floors() -> None:
    plain = {"min_sampling_denoising_std": 0, "min_logprob_denoising_std": 1, "eta": 1}
    config = merge(DiffusionConfig(), {**plain, "denoising_steps": 4, "ft_denoising_steps": 4})
    policy = make(config)
    noise = policy.draw_noise(6, torch.Generator().manual_seed(0))
    sample = policy.sample(OBSERVATION, noise, WHOLE)
    assert noise_of(policy, 3, evaluate=False) == pytest.approx(0.0, abs=1e-6)
    assert bool(sample.log_prob.isfinite().all())
    # The last step draws its mean: the density of a unit Gaussian at zero.
    expected = torch.full((6,), -0.5 * torch.log(torch.tensor(2 * torch.pi)).item())
    torch.testing.assert_close(sample.log_prob[:, -1], expected)


SMALLEST = {
    "one_step_of_ddpm": DiffusionConfig(denoising_steps=1, ft_denoising_steps=1),
    "one_step_of_ddim": DiffusionConfig(use_ddim=True, ddim_steps=1, ft_denoising_steps=1),
    "last_of_many": DiffusionConfig(ft_denoising_steps=1),
    "all_of_ddpm": DiffusionConfig(denoising_steps=5, ft_denoising_steps=5),
    "all_of_ddim": DiffusionConfig(use_ddim=True, ddim_steps=20, ft_denoising_steps=20),
}


@pytest.mark.parametrize("name", SMALLEST)
def test_extreme_numbers_of_fine_tuned_steps_sample_and_evaluate(name: str) -> None:
    config = SMALLEST[name]
    policy = make(config)
    noise = policy.draw_noise(6, torch.Generator().manual_seed(0))
    sample = policy.sample(OBSERVATION, noise, WHOLE)
    assert sample.chain.shape == (6, config.ft_denoising_steps + 1, 4, 2)
    assert sample.log_prob.shape == (6, config.ft_denoising_steps)
    assert bool(sample.log_prob.isfinite().all())
    assert policy.act(OBSERVATION, noise).shape == (6, 4, 2)
    assert policy.first_finetuned == config.chain_steps - config.ft_denoising_steps
