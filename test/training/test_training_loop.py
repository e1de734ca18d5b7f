# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: complete resume, interruption, run directories, metrics, checkpoints."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dppo_ros.core.errors import (
    CheckpointError,
    ConfigError,
    RunDirectoryError,
    TrainingError,
)
from sim_training.algorithms.config import ScheduleConfig
from sim_training.checkpoint import find_checkpoint, load_checkpoint, numbered_checkpoints
from sim_training.config import FinetuneConfig, PretrainConfig
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.policy_loading import load_policy
from sim_training.pretrain import run_pretrain
from sim_training.run_directory import RunLock

Change = Callable[..., Any]


def assert_same_checkpoint(first: Path, second: Path) -> None:
    """Every stored number is bit-equal."""
    for name in ("model.safetensors", "training.safetensors"):
        one, two = load_file(first / name), load_file(second / name)
        assert one.keys() == two.keys()
        for key in one:
            assert torch.equal(one[key], two[key]), f"{name}: {key}"
    states = [json.loads((folder / "state.json").read_text()) for folder in (first, second)]
    assert states[0]["training"] == states[1]["training"]


def losses(run_dir: Path) -> list[dict[str, float]]:
    rows = read_metrics(run_dir / "metrics.jsonl")
    return [
        {k: v for k, v in row.items() if k.startswith(("losses/", "charts/ep"))} for row in rows
    ]


def test_pretraining_resumes_bit_equal(pretrain_config: PretrainConfig, change: Change) -> None:
    straight = run_pretrain(pretrain_config)
    other = pretrain_config.run.run_dir.with_name("parts")
    half = change(pretrain_config, run__run_dir=other, n_train_steps=20)
    run_pretrain(half)
    resumed = run_pretrain(change(half, n_train_steps=40, run__resume=True))
    assert resumed.name == straight.name == "step_0000002"
    assert_same_checkpoint(straight, resumed)
    assert losses(pretrain_config.run.run_dir) == losses(other)


@pytest.mark.parametrize("reset_at_iteration", [True, False])
def test_finetuning_resumes_bit_equal(
    finetune_config: FinetuneConfig, change: Change, reset_at_iteration: bool
) -> None:
    config = change(finetune_config, train__reset_at_iteration=reset_at_iteration, n_train_itr=4)
    straight = run_finetune(config)
    other = config.run.run_dir.with_name("parts")
    half = change(config, run__run_dir=other, n_train_itr=2)
    run_finetune(half)
    resumed = run_finetune(change(half, n_train_itr=4, run__resume=True))
    assert_same_checkpoint(straight, resumed)
    assert losses(config.run.run_dir) == losses(other)


def test_a_resume_with_settings_that_do_not_fit_is_refused_and_changes_nothing(
    finetune_config: FinetuneConfig, change: Change
) -> None:
    config = change(finetune_config, train__reset_at_iteration=False, n_train_itr=1)
    run_finetune(config)
    described = (config.run.run_dir / "config.yaml").read_text()
    again = change(config, run__resume=True, n_train_itr=2)
    more = change(again, train__n_envs=config.train.n_envs + 1)
    with pytest.raises(CheckpointError, match=r"configured \(train.n_envs\); resume with as many"):
        run_finetune(more)
    with pytest.raises(CheckpointError, match="episodes of ToyReachEnv but the environment is now"):
        run_finetune(change(again, env__remote=True))
    assert (config.run.run_dir / "config.yaml").read_text() == described


def test_a_resume_takes_the_weight_decay_that_is_set(
    pretrain_config: PretrainConfig, change: Change
) -> None:
    run_pretrain(change(pretrain_config, n_train_steps=20, train__weight_decay=0.0))
    decayed = change(pretrain_config, train__weight_decay=0.5, run__resume=True)
    state = load_checkpoint(run_pretrain(decayed)).training["algorithm"]["optimizer"]
    assert state["param_groups"][0]["weight_decay"] == 0.5


def test_a_training_that_diverges_stops_before_it_saves(
    pretrain_config: PretrainConfig, finetune_config: FinetuneConfig, change: Change
) -> None:
    schedule = ScheduleConfig(1e30, 1e29, 1)
    wild = change(pretrain_config, train__schedule=schedule)
    with pytest.raises(TrainingError, match="the training has diverged; nothing is saved yet"):
        run_pretrain(wild)
    good = change(finetune_config, n_train_itr=1)
    last = run_finetune(good)
    bad = change(good, n_train_itr=3, run__resume=True, train__reward_scale_const=float("nan"))
    with pytest.raises(TrainingError, match=f"{last.name} is from before"):
        run_finetune(bad)
    assert [p.name for p in numbered_checkpoints(good.run.run_dir)] == [last.name]


def test_a_second_training_is_kept_out_of_a_run_directory(
    pretrain_config: PretrainConfig, change: Change
) -> None:
    folder = pretrain_config.run.run_dir
    run_pretrain(pretrain_config)
    again = change(pretrain_config, run__resume=True, n_train_steps=60)
    lock = RunLock(folder)
    with pytest.raises(RunDirectoryError, match="another training is at work in"):
        run_pretrain(again)
    lock.release()
    run_pretrain(again)


def test_a_resumed_run_tells_what_has_changed(
    pretrain_config: PretrainConfig, change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    run_pretrain(pretrain_config)
    with caplog.at_level(logging.INFO, "sim_training"):
        run_pretrain(change(pretrain_config, run__resume=True, run__seed=7))
    assert "run.seed 42 -> 7" in caplog.text
    assert "nothing to do" in caplog.text


def test_a_killed_run_loses_at_most_the_interval(
    pretrain_config: PretrainConfig, change: Change
) -> None:
    straight = run_pretrain(pretrain_config)
    folder = pretrain_config.run.run_dir
    metrics = (folder / "metrics.jsonl").read_text()
    (folder / "checkpoints" / ".step_0000002.part").mkdir()
    (folder / "checkpoints" / "step_0000002" / "state.json").unlink()
    (folder / "metrics.jsonl").write_text(metrics + '{"iteration": 3, "losses/diff')
    resumed = run_pretrain(change(pretrain_config, run__resume=True))
    assert resumed == straight
    assert [row["iteration"] for row in read_metrics(folder / "metrics.jsonl")] == [1, 2]


def test_interruption_in_the_rollout_saves_the_last_whole_iteration(
    finetune_config: FinetuneConfig, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    from sim_training.envs.chunk import ChunkEnv
    from sim_training.train import TrainingInterrupted

    straight = run_finetune(finetune_config)
    config = change(finetune_config, run__run_dir=finetune_config.run.run_dir.with_name("cut"))
    steps = {"n": 0}
    original = ChunkEnv.step

    def step(self: ChunkEnv, chunk: Any) -> Any:  # noqa: ANN401
        steps["n"] += 1
        if steps["n"] == 9:
            signal.raise_signal(signal.SIGINT)
        return original(self, chunk)

    monkeypatch.setattr(ChunkEnv, "step", step)
    with pytest.raises(TrainingInterrupted, match="after iteration 1"):
        run_finetune(config)
    assert [p.name for p in numbered_checkpoints(config.run.run_dir)] == ["step_0000001"]
    resumed = run_finetune(change(config, run__resume=True))
    assert_same_checkpoint(straight, resumed)


def test_busy_run_directory_is_refused(pretrain_config: PretrainConfig) -> None:
    pretrain_config.run.run_dir.mkdir()
    (pretrain_config.run.run_dir / "note.txt").write_text("mine")
    with pytest.raises(RunDirectoryError, match="--resume"):
        run_pretrain(pretrain_config)


def test_run_directory_describes_the_run(pretrain_config: PretrainConfig, change: Change) -> None:
    run_pretrain(change(pretrain_config, run__val_freq=1, run__tensorboard=True))
    folder = pretrain_config.run.run_dir
    assert {"config.yaml", "git.json", "metrics.jsonl", "console.log", "tensorboard"} <= {
        entry.name for entry in folder.iterdir()
    }
    assert find_checkpoint(folder).name == "best"
    rows = read_metrics(folder / "metrics.jsonl")
    assert all("eval/success_rate" in row and "time/iteration_s" in row for row in rows)
    assert json.loads((folder / "git.json").read_text())["packages"]["torch"]


def test_old_checkpoints_are_removed(pretrain_config: PretrainConfig, change: Change) -> None:
    run_pretrain(change(pretrain_config, n_train_steps=80, run__keep_checkpoints=2))
    kept = [folder.name for folder in numbered_checkpoints(pretrain_config.run.run_dir)]
    assert kept == ["step_0000003", "step_0000004"]


def test_altered_checkpoints_are_refused(pretrain_config: PretrainConfig, tmp_path: Path) -> None:
    folder = run_pretrain(pretrain_config)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_policy(folder)
    weights.unlink()
    with pytest.raises(CheckpointError, match="lacks model"):
        load_checkpoint(folder)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load_policy(tmp_path)


def test_loading_is_strict(pretrain_config: PretrainConfig) -> None:
    from sim_training.checkpoint import load_module

    loaded = load_policy(run_pretrain(pretrain_config))
    tensors = dict(loaded.checkpoint.model)
    tensors["base.surplus"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="surplus"):
        load_module(loaded.policy.base, tensors, "base")
    name = "base.mlp_mean.layers.0.weight"
    bad = {**loaded.checkpoint.model, name: torch.zeros(2, 2)}
    with pytest.raises(CheckpointError, match=r"shape \(2, 2\)"):
        load_module(loaded.policy.base, bad, "base")


def test_resuming_with_another_command_or_dataset_is_refused(
    pretrain_config: PretrainConfig, finetune_config: FinetuneConfig, change: Change
) -> None:
    run_pretrain(pretrain_config)
    with pytest.raises(CheckpointError, match="windows"):
        run_pretrain(change(pretrain_config, run__resume=True, max_n_episodes=20, n_train_steps=60))
    with pytest.raises(CheckpointError, match="'diffusion_bc', not 'dppo'"):
        run_finetune(
            change(finetune_config, run__run_dir=pretrain_config.run.run_dir, run__resume=True)
        )


def test_averaged_and_raw_weights_are_both_kept(pretrain_config: PretrainConfig) -> None:
    folder = run_pretrain(pretrain_config)
    raw, average = load_policy(folder, "model"), load_policy(folder, "ema")
    assert load_policy(folder).weights == "ema"
    pairs = zip(raw.policy.parameters(), average.policy.parameters(), strict=True)
    assert any(not torch.equal(one, two) for one, two in pairs)


def test_validation_split_and_bf16(pretrain_config: PretrainConfig, change: Change) -> None:
    config = change(pretrain_config, validation_fraction=0.25, train__bf16=True, n_train_steps=20)
    run_pretrain(change(config, train__max_grad_norm=1.0))
    row = read_metrics(config.run.run_dir / "metrics.jsonl")[-1]
    assert 0.1 < row["losses/validation"] < 2.0
    assert row["losses/grad_norm"] > 0


def test_misfitting_finetuning_is_refused(finetune_config: FinetuneConfig, change: Change) -> None:
    from sim_training.envs.furniture.tasks import FurnitureConfig

    with pytest.raises(ConfigError, match="pre-trained with 20"):
        run_finetune(change(finetune_config, diffusion__denoising_steps=10))
    with pytest.raises(ConfigError, match="prediction_type is sample"):
        run_finetune(change(finetune_config, diffusion__prediction_type="sample"))
    with pytest.raises(ConfigError, match="trained on 'toy_reach'"):
        run_finetune(change(finetune_config, env=FurnitureConfig()))
    with pytest.raises(ConfigError, match="predicts 4 actions"):
        run_finetune(change(finetune_config, act_steps=5))
    with pytest.raises(ConfigError, match="needs at least 1"):
        run_finetune(change(finetune_config, diffusion__ft_denoising_steps=0))
    with pytest.raises(ConfigError, match="reward_horizon is 5 but the policy predicts 4"):
        run_finetune(change(finetune_config, train__reward_horizon=5))
