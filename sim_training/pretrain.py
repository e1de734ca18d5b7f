# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo pretrain`: from demonstrations to a policy."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dppo_ros.core.errors import ConfigError, DataError
from sim_training.algorithms.diffusion_bc import DiffusionBc
from sim_training.config import PretrainConfig, RunConfig
from sim_training.config_file import to_plain
from sim_training.data.formats import EpisodeDataset, read_dataset
from sim_training.data.sequence import WindowDataset, make_windows
from sim_training.distributed import World, open_world
from sim_training.networks.shape import PolicyShape
from sim_training.policies.header import PolicyHeader
from sim_training.policies.make import TrainablePolicy
from sim_training.policy_loading import load_policy
from sim_training.train import Evaluator, TrainingLoop


def run_pretrain(config: PretrainConfig) -> Path:
    """Pre-train a policy, alone or as one of several processes; return its newest checkpoint."""
    with open_world(config.run) as world:
        seed_everything(config.run)
        return _pretrain(config, world)


def _pretrain(config: PretrainConfig, world: World) -> Path:
    run = world.localise(config.run)
    dataset = read_dataset(config.dataset)
    world.require_same(dataset.data_hash, f"the data in {config.dataset}")
    task = dataset.metadata.get("task")
    if task is not None and task != config.env.name:
        raise ConfigError(
            f"env.name is {config.env.name!r} but {config.dataset} holds demonstrations of "
            f"{task!r}; set env.name to the dataset's task"
        )
    header = make_header(config, dataset)
    windows, validation = split_windows(replace(config, run=run), dataset)
    policy = _start_policy(config, header).to(run.device)
    steps = train_steps(config, windows)
    vision = config.network.vision
    shift_px = 0 if vision is None else vision.random_shift_px
    algorithm = DiffusionBc(
        config.train, policy, windows, validation, steps, run.seed, world, shift_px
    )
    with ExitStack() as stack:
        evaluator = _open_evaluator(config, header, world, stack)
        return TrainingLoop(run, algorithm, header, config, evaluator, world).run()


def train_steps(config: PretrainConfig, windows: WindowDataset) -> int:
    """Return the optimiser steps of a run; a last batch that is not full is left out."""
    if config.n_epochs is None:
        return config.n_train_steps
    return config.n_epochs * max(1, len(windows) // config.train.batch_size)


def _start_policy(config: PretrainConfig, header: PolicyHeader) -> TrainablePolicy:
    """Return a fresh policy, or one with the weights of `init_from`."""
    policy = header.build_policy()
    if config.init_from is None:
        return policy
    loaded = load_policy(config.init_from)
    for name in ("network", "shape", "observation_normalizer", "action_normalizer"):
        ours, theirs = (json.dumps(h.to_json()[name]) for h in (header, loaded.header))
        if ours != theirs:
            raise ConfigError(
                f"init_from {config.init_from} differs from this run in {name} ({theirs} instead "
                f"of {ours}); use the same settings, and data made with --add-to"
            )
    policy.base.load_state_dict(loaded.policy.base.state_dict())
    return policy


def seed_everything(run: RunConfig) -> None:
    """Seed the global generators and set the number of threads."""
    random.seed(run.seed)
    np.random.seed(run.seed % 2**32)
    torch.manual_seed(run.seed)
    if run.torch_threads > 0:
        torch.set_num_threads(run.torch_threads)


def make_header(config: PretrainConfig, dataset: EpisodeDataset) -> PolicyHeader:
    """Return the description of the policy that a configuration and a dataset lead to."""
    observation, action = dataset.normalizers()
    shape = PolicyShape(
        obs_dim=dataset.observation_spec.dim,
        action_dim=dataset.action_spec.dim,
        cond_steps=config.cond_steps,
        horizon_steps=config.horizon_steps,
        act_steps=config.act_steps,
        **_image_sizes(config, dataset),
    )
    return PolicyHeader(
        task=config.env.name,
        env=to_plain(config.env),
        network=config.network,
        diffusion=config.diffusion,
        gaussian=config.gaussian,
        shape=shape,
        observation_spec=dataset.observation_spec,
        action_spec=dataset.action_spec,
        observation_normalizer=observation,
        action_normalizer=action,
        observation_clip=config.observation_clip,
        control_rate_hz=float(dataset.metadata.get("fps", 10.0)),
        envelope=dataset.envelope(),
        data_hash=dataset.data_hash,
    )


def _image_sizes(config: PretrainConfig, dataset: EpisodeDataset) -> dict[str, int]:
    """Return the sizes of the images that the policy sees; nothing for a policy of states."""
    if config.network.vision is None:
        return {}
    if dataset.images is None:
        raise ConfigError(
            f"network.vision is set but {config.dataset} holds no images; record a pixel task "
            "(`dppo data generate toy_reach_pixels`) or set network.vision to null"
        )
    return {
        "cameras": dataset.cameras,
        "image_size_px": dataset.image_size_px,
        "img_cond_steps": config.img_cond_steps,
    }


def split_windows(
    config: PretrainConfig, dataset: EpisodeDataset
) -> tuple[WindowDataset, WindowDataset | None]:
    """Return training windows and held-out windows (the last trajectories), if any."""
    observation, action = dataset.normalizers()
    states = observation.normalize(dataset.states, clip=config.observation_clip)
    actions = action.normalize(dataset.actions)
    lengths = dataset.traj_lengths[: config.max_n_episodes]
    held_out = round(len(lengths) * config.validation_fraction)
    if held_out >= len(lengths):
        raise DataError(
            f"validation_fraction {config.validation_fraction} leaves none of the {len(lengths)} "
            "trajectories for training; lower it"
        )
    images = None if config.network.vision is None else dataset.images
    n_train = len(lengths) - held_out
    cut = int(lengths[:n_train].sum())
    end = int(lengths.sum())

    def windows(start: int, stop: int, some: np.ndarray) -> WindowDataset:
        return make_windows(
            np.asarray(states[start:stop], np.float32),
            np.asarray(actions[start:stop], np.float32),
            some,
            config.cond_steps,
            config.horizon_steps,
            config.run.device,
            None if images is None else images[start:stop],
            config.img_cond_steps,
        )

    train = windows(0, cut, lengths[:n_train])
    return train, windows(cut, end, lengths[n_train:]) if held_out else None


def _open_evaluator(
    config: PretrainConfig, header: PolicyHeader, world: World, stack: ExitStack
) -> Evaluator | None:
    if config.run.val_freq == 0:
        return None
    from sim_training.evaluate import TaskEvaluator

    threads = config.run.env_threads
    evaluator = TaskEvaluator(header, config.env, config.eval, threads, world)
    stack.callback(evaluator.close)
    return evaluator
