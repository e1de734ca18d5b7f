# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo finetune`: from a pre-trained diffusion policy to a better one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dppo_ros.core.errors import ConfigError
from sim_training.algorithms.dppo import Dppo
from sim_training.checkpoint import load_module, numbered_checkpoints
from sim_training.config import FinetuneConfig
from sim_training.config_file import to_plain
from sim_training.diffusion.header import PolicyHeader
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.envs.chunk import ChunkEnv
from sim_training.envs.make import make_step_env
from sim_training.envs.seeds import SeedStream
from sim_training.evaluate import chunk_settings, make_evaluator
from sim_training.networks.critic import StateCritic
from sim_training.policy_loading import load_policy
from sim_training.pretrain import seed_everything
from sim_training.train import TrainingLoop


def run_finetune(config: FinetuneConfig) -> Path:
    """Fine-tune a policy and return the newest checkpoint folder."""
    seed_everything(config.run)
    header, policy = _start_policy(config)
    policy = policy.to(config.run.device)
    shape = header.shape
    critic = StateCritic(config.critic, shape.obs_dim, shape.cond_steps, header.layout)
    critic = critic.to(config.run.device)
    step_env = make_step_env(config.env, config.train.n_envs, config.run.env_threads)
    env = ChunkEnv(step_env, chunk_settings(header), SeedStream(config.run.seed))
    algorithm = Dppo(config.train, policy, critic, env, config.n_train_itr, config.run.seed)
    evaluator = None
    if config.run.val_freq:
        evaluator = make_evaluator(header, config.env, config.eval, config.run.env_threads)
    try:
        return TrainingLoop(config.run, algorithm, header, config, evaluator).run()
    finally:
        env.close()


def _start_policy(config: FinetuneConfig) -> tuple[PolicyHeader, DiffusionPolicy]:
    """Return header and policy with base and fine-tuned copy, weights of the base loaded."""
    source = config.base_policy
    resumable = numbered_checkpoints(config.run.run_dir) if config.run.resume else []
    if resumable:
        source = resumable[-1]
    loaded = load_policy(source)
    old = loaded.header
    if old.diffusion.denoising_steps != config.diffusion.denoising_steps:
        raise ConfigError(
            f"diffusion.denoising_steps is {config.diffusion.denoising_steps} but "
            f"{config.base_policy} was pre-trained with {old.diffusion.denoising_steps}; use that"
        )
    if old.task != config.env.name:
        raise ConfigError(
            f"env.name is {config.env.name!r} but {config.base_policy} was trained on "
            f"{old.task!r}; set env.name to that task"
        )
    act_steps = config.act_steps or old.shape.act_steps
    if not 1 <= act_steps <= old.shape.horizon_steps:
        raise ConfigError(
            f"act_steps is {act_steps} but the policy predicts {old.shape.horizon_steps} actions; "
            "choose 1 <= act_steps <= horizon_steps"
        )
    header = replace(
        old,
        diffusion=config.diffusion,
        shape=replace(old.shape, act_steps=act_steps),
        env=to_plain(config.env),
        finetuned=True,
    )
    policy = DiffusionPolicy(header.network, header.diffusion, header.shape, header.layout)
    trained = loaded.policy.actor_ft
    start = trained if trained is not None and not resumable else loaded.policy.base
    if trained is not None and not resumable and loaded.policy.first_finetuned > 0:
        raise ConfigError(
            f"{config.base_policy} is fine-tuned on only the last "
            f"{old.diffusion.ft_denoising_steps} of {old.diffusion.chain_steps} steps, so it has "
            "no single network to start from; start from its pre-trained policy"
        )
    load_module(policy.base, {f"base.{k}": v for k, v in start.state_dict().items()}, "base")
    policy.start_finetuning()
    return header, policy
