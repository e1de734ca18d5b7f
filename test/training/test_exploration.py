# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What changes over the iterations: exploration noise, and the number of fine-tuned steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_policy_chain import CHAINS, WHOLE, draw, make
from test_training_loop import assert_same_checkpoint

from dppo_ros.core.errors import ConfigError
from sim_training.config import FinetuneConfig
from sim_training.diffusion.config import DiffusionConfig, StdScheduleConfig
from sim_training.diffusion.exploration import ChainPlan, exploration_std, fine_tuned_steps
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.policy_loading import load_policy

Change = Callable[..., Any]


def test_exploration_noise_follows_its_schedule() -> None:
    constant = DiffusionConfig(min_sampling_denoising_std=0.16)
    assert exploration_std(constant, 1000) == 0.16
    linear = dataclasses.replace(constant, sampling_std_schedule=StdScheduleConfig(0.04, 4))
    stds = [exploration_std(linear, i) for i in (0, 1, 2, 4, 9)]
    assert stds == pytest.approx([0.16, 0.13, 0.10, 0.04, 0.04])
    exponential = StdScheduleConfig(0.04, 4, "exponential")
    falling = dataclasses.replace(constant, sampling_std_schedule=exponential)
    # Half way the geometric mean: sqrt(0.16 * 0.04) = 0.08.
    stds = [exploration_std(falling, i) for i in (0, 2, 4, 9)]
    assert stds == pytest.approx([0.16, 0.08, 0.04, 0.04])


def test_fine_tuned_steps_shrink_and_one_always_stays() -> None:
    assert [fine_tuned_steps(5, 2, 2, i) for i in range(8)] == [5, 5, 3, 3, 1, 1, 1, 1]
    assert fine_tuned_steps(5, 0, 2, 1000) == 5


def test_handing_over_makes_the_fine_tuned_weights_the_frozen_ones() -> None:
    policy = make(CHAINS["ddim"])
    plan = ChainPlan(policy.config, anneal_every=1, anneal_by=2)
    plan.enter(policy, 0)
    state, noise = draw(policy)
    before = policy.act(state, noise)
    plan.enter(policy, 1)
    assert policy.ft_positions == 1
    assert policy.actor_ft is not None
    for one, two in zip(policy.base.parameters(), policy.actor_ft.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one is not two
        assert not one.requires_grad
        assert two.requires_grad
    assert policy.sample(state, noise, WHOLE).chain.shape[1] == 2
    # The first two of the five steps ran on the old frozen weights until now.
    assert not torch.equal(policy.act(state, noise), before)


def test_a_chain_that_is_fine_tuned_whole_acts_the_same_after_handing_over() -> None:
    policy = make(CHAINS["ddim_all"])
    state, noise = draw(policy)
    before = policy.act(state, noise)
    ChainPlan(policy.config, anneal_every=3, anneal_by=2).enter(policy, 3)
    assert policy.ft_positions == 3
    assert torch.equal(policy.act(state, noise), before)


def test_the_schedule_changes_sampling_but_not_the_likelihood_floor() -> None:
    schedule = StdScheduleConfig(0.01, 1)
    policy = make(dataclasses.replace(CHAINS["ddim"], sampling_std_schedule=schedule))
    likely = policy.tables.logprob_std
    ChainPlan(policy.config, 0, 1).enter(policy, 1)
    assert float(policy.tables.sampling_std.min()) == pytest.approx(0.01)
    assert torch.equal(policy.tables.logprob_std, likely)


def test_an_annealed_run_resumes_bit_equal(finetune_config: FinetuneConfig, change: Change) -> None:
    config = change(
        finetune_config,
        n_train_itr=4,
        diffusion__sampling_std_schedule=StdScheduleConfig(0.05, 3),
        diffusion__learn_eta=True,
        diffusion__eta_kind="per_state",
        diffusion__eta_mlp_dims=(8,),
        train__anneal_ft_steps_every=2,
        train__anneal_ft_steps_by=3,
    )
    straight = run_finetune(config)
    rows = read_metrics(config.run.run_dir / "metrics.jsonl")
    assert [row["diffusion/ft_denoising_steps"] for row in rows] == [4, 4, 1, 1]
    stds = [row["diffusion/min_sampling_denoising_std"] for row in rows]
    assert stds == pytest.approx([0.1, 0.1 - 0.05 / 3, 0.1 - 0.1 / 3, 0.05])
    other = config.run.run_dir.with_name("parts")
    for iterations in (2, 3, 4):
        part = change(
            config, run__run_dir=other, run__resume=iterations > 2, n_train_itr=iterations
        )
        resumed = run_finetune(part)
        loaded = load_policy(resumed).policy
        assert isinstance(loaded, DiffusionPolicy)
        assert loaded.ft_positions == (4 if iterations == 2 else 1)
    assert_same_checkpoint(straight, resumed)


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot start from"):
        DiffusionConfig(
            min_sampling_denoising_std=0.0,
            sampling_std_schedule=StdScheduleConfig(0.1, 5, "exponential"),
        )
    with pytest.raises(ConfigError, match=r"final is 0\.0"):
        StdScheduleConfig(0.0, 5, "exponential")
    with pytest.raises(ConfigError, match="over_iterations is 0"):
        StdScheduleConfig(0.1, 0)
