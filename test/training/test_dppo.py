# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DPPO as an algorithm: first-minibatch ratio, options, chain variants, and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dppo_ros.core.errors import ConfigError
from sim_training.algorithms.config import DiffusionBcConfig, DppoConfig, ScheduleConfig
from sim_training.config import EvalConfig, FinetuneConfig, PretrainConfig, RunConfig
from sim_training.data.formats import write_dataset
from sim_training.data.toy import toy_demonstrations
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.announced import AvoidingConfig
from sim_training.envs.toy import ToyReachConfig
from sim_training.evaluate import evaluate_policy, make_eval_env
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.networks.config import CriticConfig, DiffusionMlpConfig
from sim_training.policy_loading import load_policy
from sim_training.pretrain import run_pretrain

Change = Callable[..., Any]


def last_row(config: FinetuneConfig) -> dict[str, float]:
    row: dict[str, float] = read_metrics(config.run.run_dir / "metrics.jsonl")[-1]
    return row


def test_ratio_is_one_on_the_first_minibatch(
    finetune_config: FinetuneConfig, change: Change
) -> None:
    config = change(
        finetune_config, n_train_itr=1, train__update_epochs=1, train__batch_size=10_000
    )
    run_finetune(config)
    row = last_row(config)
    assert row["losses/actor_minibatches"] == 1
    assert row["losses/ratio_mean"] == pytest.approx(1.0, abs=1e-5)
    assert row["losses/ratio_max_change"] < 1e-3
    assert row["losses/clipfrac"] == 0.0
    assert abs(row["losses/approx_kl"]) < 1e-6


CHAINS = {
    "ddim_part": DiffusionConfig(use_ddim=True, ddim_steps=4, ft_denoising_steps=2),
    "ddim_one": DiffusionConfig(use_ddim=True, ddim_steps=4, ft_denoising_steps=1),
    "ddpm_part": DiffusionConfig(ft_denoising_steps=5),
    "ddpm_all": DiffusionConfig(ft_denoising_steps=20),
}


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_every_chain_trains_and_keeps_its_frozen_network(
    finetune_config: FinetuneConfig, change: Change, name: str
) -> None:
    config = change(finetune_config, diffusion=CHAINS[name])
    after = load_policy(run_finetune(config))
    row = last_row(config)
    assert all(value == value for value in row.values()), "NaN in the metrics"
    steps = CHAINS[name].ft_denoising_steps
    assert f"diffusion/approx_kl_{steps - 1}" in row
    before = load_policy(config.base_policy)
    for one, two in zip(
        before.policy.base.parameters(), after.policy.base.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    assert after.policy.actor_ft is not None
    changed = zip(after.policy.base.parameters(), after.policy.actor_ft.parameters(), strict=True)
    assert any(not torch.equal(one, two) for one, two in changed)


@pytest.mark.parametrize("precision", ["bf16_gradients", "bf16"])
def test_lower_precision_trains_almost_the_same_policy(
    finetune_config: FinetuneConfig, change: Change, precision: str
) -> None:
    exact = change(finetune_config, train__batch_size=96, n_train_itr=1)
    rounded = change(exact, train__precision=precision, run__run_dir=exact.run.run_dir / "rounded")
    one, two = (load_policy(run_finetune(config)).policy.actor_ft for config in (exact, rounded))
    assert one is not None and two is not None
    pairs = list(zip(one.parameters(), two.parameters(), strict=True))
    assert any(not torch.equal(ours, theirs) for ours, theirs in pairs)
    largest = max(float((ours - theirs).abs().max()) for ours, theirs in pairs)
    # Every optimiser step of AdamW moves a weight by at most about the rate, 1e-4; two are made.
    assert largest < 5e-4


def test_runs_write_what_progress_line_and_report_show(
    pretrain_config: PretrainConfig, finetune_config: FinetuneConfig, change: Change
) -> None:
    from sim_training.report import _CURVES
    from sim_training.run_progress import _SHOWN

    cloned = change(pretrain_config, validation_fraction=0.2, run__val_freq=1)
    run_pretrain(cloned)
    tuned = change(finetune_config, train__n_steps=30)
    run_finetune(tuned)
    runs = (config.run.run_dir / "metrics.jsonl" for config in (cloned, tuned))
    written = {name for run in runs for row in read_metrics(run) for name in row}
    assert set(_SHOWN) <= written
    assert {name for _, names in _CURVES for name in names} <= written


def test_critic_warm_up_leaves_the_actor_alone(
    finetune_config: FinetuneConfig, change: Change
) -> None:
    config = change(finetune_config, train__n_critic_warmup_itr=1, n_train_itr=1)
    policy = load_policy(run_finetune(config)).policy
    assert policy.actor_ft is not None
    for one, two in zip(policy.base.parameters(), policy.actor_ft.parameters(), strict=True):
        assert torch.equal(one, two)
    assert "losses/policy_loss" not in last_row(config)
    assert last_row(config)["losses/value_loss"] > 0


def test_target_kl_stops_the_epochs(finetune_config: FinetuneConfig, change: Change) -> None:
    config = change(
        finetune_config,
        n_train_itr=1,
        train__target_kl=1e-9,
        train__update_epochs=50,
        train__actor_schedule=ScheduleConfig(1e-2, 1e-2, 0),
    )
    run_finetune(config)
    row = last_row(config)
    assert row["losses/stopped_early"] == 1.0
    assert row["losses/actor_minibatches"] < 10


def test_all_options_together(finetune_config: FinetuneConfig, change: Change) -> None:
    config = change(
        finetune_config,
        train__clip_vloss_coef=0.2,
        train__clip_advantage_lower_quantile=0.05,
        train__clip_advantage_upper_quantile=0.95,
        train__logprob_reduction="sum",
        train__reward_horizon=2,
        train__bc_loss_coeff=0.1,
        train__actor_max_grad_norm=0.5,
        train__critic_max_grad_norm=0.5,
        train__truncation="reference",
        train__reward_scale_running=False,
        run__val_freq=1,
    )
    run_finetune(config)
    row = last_row(config)
    assert row["losses/bc_loss"] != 0.0
    assert all(value == value for value in row.values())
    for name in ("charts/SPS", "time/sampling_s", "time/simulation_s", "time/actor_s"):
        assert row[name] > 0
    assert (config.run.run_dir / "checkpoints" / "best" / "state.json").is_file()


def test_a_fully_fine_tuned_policy_can_be_fine_tuned_again(
    finetune_config: FinetuneConfig, change: Change
) -> None:
    first = run_finetune(finetune_config)
    again = change(
        finetune_config,
        base_policy=first,
        run__run_dir=finetune_config.run.run_dir.with_name("again"),
        n_train_itr=1,
    )
    second = load_policy(run_finetune(again)).policy
    tuned = load_policy(first).policy.actor_ft
    assert tuned is not None
    for one, two in zip(tuned.parameters(), second.base.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.slow
def test_dppo_improves_a_weak_policy_significantly(tmp_path: Path) -> None:
    """Cloning stopped early; the intervals before and after do not overlap."""
    task = ToyReachConfig(tolerance_m=0.03)
    demonstrations = toy_demonstrations(task, episodes=100, seed=0)
    chain = DiffusionConfig(use_ddim=True, ddim_steps=5, ft_denoising_steps=5)
    pretrain = PretrainConfig(
        dataset=write_dataset(tmp_path / "toy", demonstrations),
        run=RunConfig(run_dir=tmp_path / "pretrain", tensorboard=False),
        env=task,
        network=DiffusionMlpConfig(mlp_dims=(64, 64, 64)),
        diffusion=chain,
        train=DiffusionBcConfig(batch_size=128),
        n_train_steps=300,
    )
    run_pretrain(pretrain)
    finetune = FinetuneConfig(
        base_policy=pretrain.run.run_dir,
        run=RunConfig(run_dir=tmp_path / "finetune", tensorboard=False),
        env=task,
        diffusion=chain,
        critic=CriticConfig(mlp_dims=(64, 64, 64)),
        train=DppoConfig(
            n_envs=40,
            n_steps=20,
            batch_size=1000,
            actor_schedule=ScheduleConfig(5e-4, 5e-4, 0),
            clip_ploss_coef=0.02,
            clip_ploss_coef_base=0.01,
            n_critic_warmup_itr=2,
        ),
        n_train_itr=40,
    )
    run_finetune(finetune)
    results = []
    for path in (pretrain.run.run_dir, finetune.run.run_dir):
        loaded = load_policy(path)
        env = make_eval_env(loaded.header, task, EvalConfig(n_episodes=200, n_envs=50), 1)
        results.append(evaluate_policy(loaded.policy, env, 200))
    print([result.success_rate for result in results])
    assert results[1].interval[0] > results[0].interval[1]


def test_time_limit_of_training_stays_out_of_the_policy(
    finetune_config: FinetuneConfig, change: Change
) -> None:
    config = change(finetune_config, train_episode_steps=4, n_train_itr=1)
    policy = load_policy(run_finetune(config))
    assert policy.header.env["max_episode_steps"] == config.env.max_episode_steps == 40
    # Six chunks of four steps: every episode ends at latest with its chunk.
    assert last_row(config)["charts/episodes"] == 4 * 6


def test_task_with_a_fixed_time_limit_refuses_another(
    finetune_config: FinetuneConfig, change: Change
) -> None:
    config = change(finetune_config, env=AvoidingConfig(), train_episode_steps=2)
    with pytest.raises(ConfigError, match="train_episode_steps is 2, but task 'avoiding_m1'"):
        run_finetune(config)
