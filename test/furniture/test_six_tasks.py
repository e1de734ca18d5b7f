# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every task at both levels, from cloning to a loaded bundle, with the repository's own settings.

Far too short to learn anything: what is held here is that the settings, tasks and commands fit.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from expert_beginning import Level, TaskName, record_beginning

from dppo_ros.core.bundle import load_bundle
from sim_training.cli import main
from sim_training.envs.furniture.tasks import TASKS

RECIPES = Path(__file__).resolve().parents[2] / "config/train/furniture"


def dppo(*words: str | Path) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("level", ["low", "med"])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_goes_all_the_way_to_a_bundle(task: TaskName, level: Level, tmp_path: Path) -> None:
    demonstrations = record_beginning(task, tmp_path / "data", level)
    clone, tuned, bundle = (tmp_path / name for name in ("clone", "tuned", "bundle"))
    short = ("--torch-threads", "1", "--no-tensorboard")
    dppo("pretrain", "--config", RECIPES / f"{task}_{level}_pretrain.yaml", "--run-dir", clone,
         "--dataset", demonstrations, "--n-train-steps", "2", "--train.steps-per-iteration", "1",
         "--train.batch-size", "4", *short)  # fmt: skip
    dppo("finetune", "--config", RECIPES / f"{task}_{level}_finetune.yaml", "--run-dir", tuned,
         "--base-policy", clone, "--train-episode-steps", "16", "--n-train-itr", "1",
         "--train.n-envs", "2", "--train.n-steps", "2", "--train.batch-size", "8",
         "--env-threads", "1", *short)  # fmt: skip
    out = tmp_path / "evaluation"
    dppo("eval", "--policy", tuned, "--env.name", task, "--env.randomness", level,
         "--env.max-episode-steps", "16", "--eval.n-episodes", "2", "--eval.n-envs", "2",
         "--env-threads", "1", "--out", out)  # fmt: skip
    result = json.loads((out / "evaluation.json").read_text())
    assert (result["task"], result["mean_steps"]) == (task, 16.0)
    dppo("export", "--policy", tuned, "--out", bundle, "--evaluation", out / "evaluation.json")
    manifest = load_bundle(bundle).manifest
    assert (manifest.task, manifest.simulator) == (task, "mujoco")
    assert manifest.evaluation is not None
