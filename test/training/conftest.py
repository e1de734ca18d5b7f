# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small things that several training tests need."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sim_training.algorithms.config import DiffusionBcConfig, DppoConfig, ScheduleConfig
from sim_training.config import EvalConfig, FinetuneConfig, PretrainConfig, RunConfig
from sim_training.data.formats import write_dataset
from sim_training.data.toy import toy_demonstrations
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.toy import ToyReachConfig
from sim_training.networks.config import CriticConfig, DiffusionMlpConfig
from sim_training.pretrain import run_pretrain

TINY = DiffusionMlpConfig(mlp_dims=(32, 32, 32))
CHAIN = DiffusionConfig(use_ddim=True, ddim_steps=4, ft_denoising_steps=4)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of the toy task."""
    data = toy_demonstrations(ToyReachConfig(), episodes=40, seed=0)
    return write_dataset(tmp_path_factory.mktemp("data") / "toy", data)


@pytest.fixture
def pretrain_config(toy_dataset: Path, tmp_path: Path) -> PretrainConfig:
    """A pre-training of two short iterations."""
    return PretrainConfig(
        dataset=toy_dataset,
        run=RunConfig(run_dir=tmp_path / "pretrain", save_freq=1, tensorboard=False),
        network=TINY,
        diffusion=CHAIN,
        train=DiffusionBcConfig(
            batch_size=64,
            steps_per_iteration=20,
            ema_start_step=5,
            schedule=ScheduleConfig(1e-3, 1e-4, 5, first_cycle_steps=200),
        ),
        eval=EvalConfig(n_episodes=8, n_envs=4),
        n_train_steps=40,
    )


@pytest.fixture(scope="session")
def pretrained(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a briefly pre-trained toy policy."""
    run_dir = tmp_path_factory.mktemp("runs") / "pretrained"
    config = PretrainConfig(
        dataset=toy_dataset,
        run=RunConfig(run_dir=run_dir, tensorboard=False),
        network=DiffusionMlpConfig(mlp_dims=(32, 32, 32), obs_fourier_features=2),
        diffusion=CHAIN,
        train=DiffusionBcConfig(batch_size=128, ema_start_step=50),
        n_train_steps=300,
    )
    run_pretrain(config)
    return run_dir


@pytest.fixture(scope="session")
def one_leg_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recorded episode of the one_leg expert."""
    from sim_training.data.generate import GenerateConfig, generate

    out = tmp_path_factory.mktemp("data") / "one_leg"
    return generate(GenerateConfig(episodes=1, n_envs=1, threads=1, out=out))


@pytest.fixture(scope="session")
def one_leg_config(
    one_leg_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> PretrainConfig:
    """One optimiser step of a tiny one_leg policy that sees relative poses."""
    from sim_training.envs.furniture.tasks import FurnitureConfig

    run_dir = tmp_path_factory.mktemp("runs") / "one_leg"
    return PretrainConfig(
        dataset=one_leg_dataset,
        run=RunConfig(run_dir=run_dir, tensorboard=False),
        env=FurnitureConfig(),
        network=DiffusionMlpConfig(
            mlp_dims=(32, 32, 32), relative_pairs=("tool:leg4", "top:leg4", "obstacle:top")
        ),
        diffusion=CHAIN,
        train=DiffusionBcConfig(batch_size=16, steps_per_iteration=1),
        n_train_steps=1,
    )


@pytest.fixture(scope="session")
def one_leg_policy(one_leg_config: PretrainConfig) -> Path:
    """The run directory of that policy: weights as good as fresh."""
    run_pretrain(one_leg_config)
    return one_leg_config.run.run_dir


@pytest.fixture
def finetune_config(pretrained: Path, tmp_path: Path) -> FinetuneConfig:
    """A fine-tuning of two small iterations."""
    return FinetuneConfig(
        base_policy=pretrained,
        run=RunConfig(run_dir=tmp_path / "finetune", save_freq=1, tensorboard=False),
        diffusion=CHAIN,
        critic=CriticConfig(mlp_dims=(16, 16, 16)),
        train=DppoConfig(n_envs=4, n_steps=6, batch_size=48, update_epochs=2),
        eval=EvalConfig(n_episodes=6, n_envs=3),
        n_train_itr=2,
    )


@pytest.fixture
def change() -> Callable[..., object]:
    """Replace fields of a frozen configuration, nested ones by a dotted name."""

    def apply(config: object, **changes: object) -> object:
        for key, value in changes.items():
            head, _, rest = key.partition("__")
            new = apply(getattr(config, head), **{rest: value}) if rest else value
            config = dataclasses.replace(config, **{head: new})  # type: ignore[type-var]
        return config

    return apply
