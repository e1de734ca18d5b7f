# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training on a remote simulator: the same weights, and no worker's end ends the run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sim_training.config import EvalConfig, FinetuneConfig
from sim_training.config_file import save_config
from sim_training.envs.toy import ToyReachConfig
from sim_training.envs.worker_settings import WorkerSettings
from sim_training.evaluate import evaluate_policy, make_eval_env
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.policy_loading import load_policy

ROOT = Path(__file__).resolve().parents[2]
REMOTE = ToyReachConfig(remote=True, worker=WorkerSettings(processes=2, chunk_steps=4))

Change = Callable[..., Any]


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "model.safetensors")


def assert_same_weights(first: Path, second: Path) -> None:
    one, two = weights_of(first), weights_of(second)
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


def break_workers(monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]) -> None:
    """Let the workers of every toy task that is made from now on fail."""
    settings = ToyReachConfig.task_settings
    monkeypatch.setattr(
        ToyReachConfig, "task_settings", lambda self: settings(self) | {"fault": fault}
    )


def test_remote_training_gives_the_weights_of_local_training_and_resumes(
    finetune_config: FinetuneConfig, change: Change
) -> None:
    config = change(finetune_config, n_train_itr=2, train__reset_at_iteration=False)
    local = run_finetune(config)
    other = config.run.run_dir.with_name("remote")
    remote = change(config, run__run_dir=other, env=REMOTE)
    run_finetune(change(remote, n_train_itr=1))
    resumed = run_finetune(change(remote, run__resume=True))
    assert_same_weights(local, resumed)


@pytest.mark.parametrize("kind", ["kill", "nan"])
def test_a_fault_in_mid_iteration_costs_episodes_and_nothing_else(
    kind: str,
    finetune_config: FinetuneConfig,
    change: Change,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_workers(monkeypatch, {"kind": kind, "step": 5, "once": str(tmp_path / "failed")})
    run_finetune(change(finetune_config, env=REMOTE))
    assert (tmp_path / "failed").exists()
    rows = read_metrics(finetune_config.run.run_dir / "metrics.jsonl")
    name = "lost" if kind == "kill" else "diverged"
    expected = 2 if kind == "kill" else 1  # the two environments of one worker, or one of them
    assert [row[f"charts/{name}_episodes"] for row in rows] == [expected, 0]
    assert all(row["losses/value_loss"] == row["losses/value_loss"] for row in rows)


def test_an_evaluation_repeats_lost_episodes(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_policy(pretrained)
    settings = EvalConfig(n_episodes=7, n_envs=3)
    local = make_eval_env(loaded.header, ToyReachConfig(), settings, 1)
    expected = evaluate_policy(loaded.policy, local, 7)
    break_workers(monkeypatch, {"kind": "kill", "step": 30, "once": str(tmp_path / "failed")})
    env = make_eval_env(loaded.header, REMOTE, settings, 1)
    try:
        result = evaluate_policy(loaded.policy, env, 7)
    finally:
        env.close()
    assert (tmp_path / "failed").exists()
    assert result.episodes == expected.episodes


def test_dppo_finetune_survives_kill_9_of_its_worker(
    finetune_config: FinetuneConfig, change: Change, tmp_path: Path
) -> None:
    config = change(
        finetune_config, env=REMOTE, n_train_itr=4, train__n_steps=40, train__batch_size=160
    )
    config = change(config, train__reset_at_iteration=False)
    save_config(tmp_path / "config.yaml", config)
    command = [sys.executable, "-m", "sim_training.cli", "finetune"]
    process = subprocess.Popen(
        [*command, "--config", str(tmp_path / "config.yaml")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    killed: int | None = None
    for line in process.stderr:
        said += line
        worker = re.search(r"toy worker (\d+): environments 2 to 3", line)
        if worker is not None and killed is None:
            killed = int(worker.group(1))
            os.kill(killed, signal.SIGKILL)  # before or in its first iteration
    assert process.wait(60) == 0, said
    assert killed is not None and f"toy worker {killed} was killed by SIGKILL" in said
    rows = read_metrics(config.run.run_dir / "metrics.jsonl")
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4]
