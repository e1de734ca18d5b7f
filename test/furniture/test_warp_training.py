# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two tasks train and evaluate on MuJoCo Warp by the usual commands; `bench sim` measures it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from expert_beginning import record_beginning

from sim_training.algorithms.config import DiffusionBcConfig, DppoConfig
from sim_training.bench.config import BenchSimConfig
from sim_training.bench.simulator import bench_sim
from sim_training.config import (
    EvalConfig,
    EvaluateConfig,
    FinetuneConfig,
    PretrainConfig,
    RunConfig,
)
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.evaluate import run_evaluate
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.networks.config import CriticConfig, DiffusionMlpConfig
from sim_training.pretrain import run_pretrain

pytestmark = [pytest.mark.usefixtures("warp_compiled"), pytest.mark.timeout(900)]
CHAIN = DiffusionConfig(use_ddim=True, ddim_steps=2, ft_denoising_steps=2)
SHORT = EvalConfig(n_episodes=2, n_envs=2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("task", ["one_leg", "lamp"])
def test_a_task_fine_tunes_and_evaluates(task: Literal["one_leg", "lamp"], tmp_path: Path) -> None:
    env = FurnitureConfig(name=task, simulator="warp", starts="pushed", max_episode_steps=6)
    pretrain = PretrainConfig(
        dataset=record_beginning(task, tmp_path / "data"),
        run=RunConfig(run_dir=tmp_path / "pretrain", tensorboard=False),
        env=FurnitureConfig(name=task),
        network=DiffusionMlpConfig(mlp_dims=(16, 16, 16)),
        diffusion=CHAIN,
        train=DiffusionBcConfig(batch_size=4, steps_per_iteration=1),
        n_train_steps=1,
    )
    run_pretrain(pretrain)
    run_finetune(
        FinetuneConfig(
            base_policy=pretrain.run.run_dir,
            run=RunConfig(run_dir=tmp_path / "finetune", save_freq=2, tensorboard=False),
            env=env,
            diffusion=CHAIN,
            critic=CriticConfig(mlp_dims=(16, 16, 16)),
            train=DppoConfig(n_envs=2, n_steps=2, batch_size=8, update_epochs=1),
            eval=SHORT,
            n_train_itr=2,
        )
    )
    rows = read_metrics(tmp_path / "finetune" / "metrics.jsonl")
    assert [row["iteration"] for row in rows] == [1, 2]
    out = tmp_path / "evaluation"
    run_evaluate(EvaluateConfig(policy=tmp_path / "finetune", eval=SHORT, out=out))
    result = json.loads((out / "evaluation.json").read_text())
    assert result["n_episodes"] == 2
    assert result["mean_steps"] == 6.0


def test_speed_over_the_number_of_environments(capsys: pytest.CaptureFixture[str]) -> None:
    config = BenchSimConfig(
        FurnitureConfig(simulator="warp"), sizes=(1, 3), act_steps=2, n_steps=4, json=True
    )
    assert bench_sim(config) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["n_envs"] for row in rows] == [1, 3]
    assert all(row["real_time_factor"] == row["control_steps_per_s"] / 10.0 for row in rows)
