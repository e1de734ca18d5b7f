# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling: which network runs where, noise floors, clips, and log-probabilities of the chain."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from dppo_ros.core.errors import ConfigError
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.networks.config import DiffusionMlpConfig
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.protocol import LogProbReduction

SHAPE = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=4, act_steps=2)
WHOLE = LogProbReduction(4, "sum", (-100.0, 100.0))
CHAINS = {
    "ddim": DiffusionConfig(use_ddim=True, ddim_steps=5, ft_denoising_steps=3),
    "ddim_all": DiffusionConfig(use_ddim=True, ddim_steps=5, ft_denoising_steps=5),
    "ddim_one": DiffusionConfig(use_ddim=True, ddim_steps=5, ft_denoising_steps=1),
    "ddpm": DiffusionConfig(denoising_steps=6, ft_denoising_steps=4),
    "sample": DiffusionConfig(
        use_ddim=True,
        ddim_steps=5,
        timestep_spacing="trailing",
        prediction_type="sample",
        ft_denoising_steps=3,
    ),
    "ddpm_all": DiffusionConfig(denoising_steps=6, ft_denoising_steps=6),
}


def make(config: DiffusionConfig, different: bool = True) -> DiffusionPolicy:
    torch.manual_seed(0)
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(16, 16, 16)), config, SHAPE)
    actor = policy.start_finetuning()
    if different:
        with torch.no_grad():
            for parameter in actor.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return policy


def draw(policy: DiffusionPolicy, batch: int = 7) -> tuple[TensorObservation, Tensor]:
    generator = torch.Generator().manual_seed(1)
    state = torch.randn(batch, 1, 3, generator=generator)
    return {"state": state}, policy.draw_noise(batch, generator)


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_stored_log_prob_equals_recomputation(name: str) -> None:
    policy = make(CHAINS[name])
    state, noise = draw(policy)
    sample = policy.sample(state, noise, WHOLE)
    steps = CHAINS[name].ft_denoising_steps
    assert sample.chain.shape == (7, steps + 1, 4, 2)
    assert sample.log_prob.shape == (7, steps)
    for index in range(steps):
        position = torch.full((7,), index)
        before, after = sample.chain[:, index], sample.chain[:, index + 1]
        again = policy.log_prob(state, before, after, position, WHOLE)
        torch.testing.assert_close(sample.log_prob[:, index], again, atol=1e-4, rtol=1e-4)


def test_chain_starts_with_the_initial_noise_when_all_steps_are_fine_tuned() -> None:
    policy = make(CHAINS["ddim_all"])
    state, noise = draw(policy)
    assert torch.equal(policy.sample(state, noise, WHOLE).chain[:, 0], noise[:, 0])


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_frozen_network_runs_only_on_its_own_steps(name: str) -> None:
    policy = make(CHAINS[name])
    calls = {"base": 0, "ft": 0}
    assert policy.actor_ft is not None
    policy.base.mlp_mean.layers[-1].register_forward_hook(
        lambda *_: calls.update(base=calls["base"] + 1)
    )
    policy.actor_ft.mlp_mean.layers[-1].register_forward_hook(
        lambda *_: calls.update(ft=calls["ft"] + 1)
    )
    state, noise = draw(policy)
    policy.act(state, noise)
    fine_tuned = CHAINS[name].ft_denoising_steps
    assert calls == {"base": CHAINS[name].chain_steps - fine_tuned, "ft": fine_tuned}


def test_base_policy_switch_ignores_the_fine_tuned_network() -> None:
    policy, same = make(CHAINS["ddim"]), make(CHAINS["ddim"], different=False)
    state, noise = draw(policy)
    frozen = policy.act(state, noise, use_base_policy=True)
    torch.testing.assert_close(frozen, same.act(state, noise))
    assert not torch.allclose(frozen, policy.act(state, noise))


def test_deterministic_ddim_uses_only_the_initial_noise() -> None:
    policy = make(CHAINS["ddim"])
    state, noise = draw(policy)
    other = noise.clone()
    other[:, 1:] += 1.0
    assert torch.equal(policy.act(state, noise), policy.act(state, other))


def test_deterministic_ddpm_adds_posterior_noise_except_at_the_last_step() -> None:
    policy = make(CHAINS["ddpm"])
    state, noise = draw(policy)
    last, earlier = noise.clone(), noise.clone()
    last[:, -1] += 1.0
    earlier[:, 1] += 1.0
    assert torch.equal(policy.act(state, noise), policy.act(state, last))
    assert not torch.equal(policy.act(state, noise), policy.act(state, earlier))
    std = policy.tables.evaluation.std
    assert float(std[-1]) == 0.0
    assert float(std[:-1].min()) >= 1e-3


def test_both_floors_are_independent() -> None:
    config = dataclasses.replace(
        CHAINS["ddim"], min_sampling_denoising_std=0.04, min_logprob_denoising_std=0.2
    )
    tables = make(config).tables
    assert float(tables.sampling_std.min()) == pytest.approx(0.04)
    assert float(tables.logprob_std.min()) == pytest.approx(0.2)
    assert float(tables.training.std.max()) > 0.2


def test_sampling_noise_is_clipped_but_the_initial_noise_is_not() -> None:
    policy = make(CHAINS["ddim_all"])
    state, noise = draw(policy)
    huge = noise.clone()
    huge[:, 1:] = 100.0
    limited = noise.clone()
    limited[:, 1:] = CHAINS["ddim_all"].randn_clip_value
    assert torch.equal(
        policy.sample(state, huge, WHOLE).chain, policy.sample(state, limited, WHOLE).chain
    )
    huge[:, 0] = 50.0
    assert float(policy.sample(state, huge, WHOLE).chain[:, 0].max()) == 50.0


def test_final_clip_limits_the_executed_chunk_but_not_the_chain() -> None:
    config = dataclasses.replace(CHAINS["ddim_all"], min_sampling_denoising_std=1.0)
    policy = make(config)
    state, noise = draw(policy)
    sample = policy.sample(state, noise, WHOLE)
    assert float(sample.chunk.abs().max()) <= 1.0
    assert float(sample.chain[:, -1].abs().max()) > 1.0
    free = policy.with_chain(dataclasses.replace(config, final_action_clip_value=None))
    assert torch.equal(free.sample(state, noise, WHOLE).chunk, sample.chain[:, -1])


def test_changing_the_number_of_ddim_steps_keeps_the_networks() -> None:
    policy = make(CHAINS["ddim_all"])
    shorter = policy.with_ddim(2)
    assert shorter.chain_steps == 2
    assert shorter.first_finetuned == 0
    assert shorter.actor_ft is policy.actor_ft
    assert policy.chain_steps == 5


@pytest.mark.parametrize(
    ("chain", "steps", "fine_tuned"),
    [
        ("ddim", 10, 5),  # of 20 times, tuned at 8, 4, 0; now 18, 16, ... 0: 8, 6, 4, 2, 0
        ("ddim", 2, 1),  # 10, 0
        ("ddim_one", 10, 1),
        ("ddpm", 3, 2),  # of 6 times, tuned at 3, 2, 1, 0; now 4, 2, 0
        ("ddpm", 6, 4),
        ("sample", 10, 6),  # tuned at 11, 7, 3; now 19, 17, ... 1
        ("sample", 1, 0),  # 19 alone
    ],
)
def test_another_number_of_steps_is_fine_tuned_at_the_noise_levels_that_were(
    chain: str, steps: int, fine_tuned: int
) -> None:
    policy = make(CHAINS[chain])
    other = policy.with_ddim(steps)
    assert other.chain_steps - other.first_finetuned == fine_tuned
    latest = int(policy.tables.evaluation.time[policy.first_finetuned])
    assert (other.tables.evaluation.time[other.first_finetuned :] <= latest).all()
    assert (other.tables.evaluation.time[: other.first_finetuned] > latest).all()


def test_impossible_chains_are_refused() -> None:
    with pytest.raises(ConfigError, match="ft_denoising_steps is 6"):
        DiffusionConfig(use_ddim=True, ddim_steps=5, ft_denoising_steps=6)
    with pytest.raises(ConfigError, match="ddim_steps is 30"):
        DiffusionConfig(use_ddim=True, ddim_steps=30)
    with pytest.raises(ConfigError, match="eta is 2"):
        DiffusionConfig(eta=2.0)


def test_bc_loss_is_the_error_of_the_predicted_noise() -> None:
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), CHAINS["ddim"], SHAPE)
    for parameter in policy.base.parameters():
        torch.nn.init.zeros_(parameter)
    chunk, state = torch.zeros(4000, 4, 2), torch.zeros(4000, 1, 3)
    loss = policy.bc_loss(chunk, {"state": state}, torch.Generator().manual_seed(0))
    assert loss.item() == pytest.approx(1.0, abs=0.03)


def test_bc_loss_of_a_sample_predictor_is_the_error_of_the_chunk() -> None:
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), CHAINS["sample"], SHAPE)
    for parameter in policy.base.parameters():
        torch.nn.init.zeros_(parameter)
    chunk, state = torch.full((5, 4, 2), 0.3), torch.zeros(5, 1, 3)
    loss = policy.bc_loss(chunk, {"state": state}, torch.Generator().manual_seed(0))
    assert loss.item() == pytest.approx(0.09, rel=1e-5)
    chunks = policy.act({"state": state}, torch.randn(5, 6, 4, 2))
    assert chunks.abs().max() == 0.0  # the last step returns what the network predicts
