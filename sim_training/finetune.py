# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo finetune`: from a pre-trained policy to a better one, or from random weights."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer
from sim_training.algorithms.config import DppoConfig
from sim_training.algorithms.dppo import Dppo
from sim_training.checkpoint import load_module, numbered_checkpoints
from sim_training.config import FinetuneConfig
from sim_training.config_file import to_plain
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.distributed import World, open_world
from sim_training.envs.chunk import ChunkEnv
from sim_training.envs.make import EnvConfig, make_step_env
from sim_training.envs.protocol import NominalEnv, StepEnv
from sim_training.envs.seeds import SeedStream
from sim_training.evaluate import TaskEvaluator, chunk_settings
from sim_training.networks.critic import StateCritic
from sim_training.networks.shape import PolicyShape
from sim_training.policies.header import PolicyHeader
from sim_training.policies.make import TrainablePolicy
from sim_training.policy_loading import LoadedPolicy, load_policy
from sim_training.pretrain import seed_everything
from sim_training.train import TrainingLoop


def run_finetune(config: FinetuneConfig) -> Path:
    """Fine-tune a policy, alone or as one of several processes; return the newest checkpoint."""
    with open_world(config.run) as world:
        check_shares(config.train, world.size)
        seed_everything(config.run)
        share = world.share(config.train.n_envs)
        step_env = make_step_env(_training_env(config), share.count, config.run.env_threads)
        try:
            return _finetune(config, step_env, world)
        finally:
            step_env.close()


def _training_env(config: FinetuneConfig) -> EnvConfig:
    """Return the task with the time limit of training."""
    steps = config.train_episode_steps
    if steps is None:
        return config.env
    if "max_episode_steps" not in {entry.name for entry in fields(config.env)}:
        raise ConfigError(
            f"train_episode_steps is {steps}, but task {config.env.name!r} has a fixed time limit; "
            "leave it out"
        )
    limit: dict[str, Any] = {"max_episode_steps": steps}
    return replace(config.env, **limit)


def check_shares(train: DppoConfig, processes: int) -> None:
    """Refuse a number of processes among which environments or batches cannot be shared out."""
    if train.n_envs % processes:
        raise ConfigError(
            f"train.n_envs is {train.n_envs} but {processes} processes share the environments; "
            f"choose a multiple of {processes}"
        )
    if train.batch_size < processes:
        raise ConfigError(
            f"train.batch_size is {train.batch_size} but {processes} processes share every "
            "minibatch; raise it, or start fewer processes"
        )


def _finetune(config: FinetuneConfig, step_env: StepEnv, world: World) -> Path:
    run = world.localise(config.run)
    header, policy = _start(config, step_env)
    policy = policy.to(run.device)
    critic = StateCritic(config.critic, header.shape, header.layout).to(run.device)
    first_env = world.share(config.train.n_envs).first
    env = ChunkEnv(step_env, chunk_settings(header), SeedStream(run.seed, first_env))
    algorithm = Dppo(config.train, policy, critic, env, config.n_train_itr, run.seed, world)
    with ExitStack() as stack:
        evaluator = None
        if run.val_freq:
            evaluator = TaskEvaluator(header, config.env, config.eval, run.env_threads, world)
            stack.callback(evaluator.close)
        return TrainingLoop(run, algorithm, header, config, evaluator, world).run()


def _start(config: FinetuneConfig, step_env: StepEnv) -> tuple[PolicyHeader, TrainablePolicy]:
    """Return header and policy with base and fine-tuned copy, weights of the base loaded."""
    resumable = numbered_checkpoints(config.run.run_dir) if config.run.resume else []
    source = resumable[-1] if resumable else config.base_policy
    if source is None:
        header = _scratch_header(config, step_env)
        policy = replace(header, finetuned=False).build_policy()
    else:
        loaded = load_policy(source)
        header = _continued_header(config, loaded)
        policy = replace(header, finetuned=False).build_policy()
        start = loaded.policy.base.state_dict() if resumable else _start_weights(config, loaded)
        load_module(policy.base, {f"base.{k}": v for k, v in start.items()}, "base")
    policy.start_finetuning()
    return header, policy


def _start_weights(config: FinetuneConfig, loaded: LoadedPolicy) -> dict[str, Tensor]:
    """Return the weights of the one network that a policy acts with."""
    policy = loaded.policy
    if isinstance(policy, DiffusionPolicy):
        if policy.actor_ft is not None and policy.first_finetuned > 0:
            raise ConfigError(
                f"{config.base_policy} is fine-tuned on only the last {policy.ft_positions} of "
                f"{policy.chain_steps} steps, so it has no single network to start from; start "
                "from its pre-trained policy"
            )
        network: nn.Module = policy.actor_ft or policy.base
    else:
        other = policy.with_gaussian(config.gaussian)
        network = other.actor_ft or other.base
    return network.state_dict()


def _continued_header(config: FinetuneConfig, loaded: LoadedPolicy) -> PolicyHeader:
    old = loaded.header
    if isinstance(loaded.policy, DiffusionPolicy):
        _check_same_diffusion(config, old)
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
    return replace(
        old,
        diffusion=config.diffusion,
        gaussian=config.gaussian,
        shape=replace(old.shape, act_steps=act_steps),
        env=to_plain(config.env),
        finetuned=True,
    )


def _check_same_diffusion(config: FinetuneConfig, old: PolicyHeader) -> None:
    """Refuse to read a network's output or its times otherwise than it was trained."""
    for name in ("denoising_steps", "prediction_type"):
        wanted, trained = getattr(config.diffusion, name), getattr(old.diffusion, name)
        if wanted != trained:
            raise ConfigError(
                f"diffusion.{name} is {wanted} but {config.base_policy} was pre-trained with "
                f"{trained}; use that"
            )


def _scratch_header(config: FinetuneConfig, step_env: StepEnv) -> PolicyHeader:
    if not isinstance(step_env, NominalEnv):
        raise ConfigError(
            f"task {config.env.name!r} has no nominal ranges to scale observations with, so it "
            "cannot start from random weights; set base_policy to a pre-trained policy"
        )
    scratch = config.scratch
    shape = PolicyShape(
        obs_dim=step_env.observation_spec.dim,
        action_dim=step_env.action_spec.dim,
        cond_steps=scratch.cond_steps,
        horizon_steps=scratch.horizon_steps,
        act_steps=scratch.act_steps,
    )
    return PolicyHeader(
        task=config.env.name,
        env=to_plain(config.env),
        network=scratch.network,
        diffusion=config.diffusion,
        gaussian=config.gaussian,
        shape=shape,
        observation_spec=step_env.observation_spec,
        action_spec=step_env.action_spec,
        observation_normalizer=MinMaxNormalizer(*step_env.observation_range),
        action_normalizer=MinMaxNormalizer(*step_env.action_range),
        observation_clip=scratch.observation_clip,
        control_rate_hz=step_env.control_rate_hz,
        finetuned=True,
    )
