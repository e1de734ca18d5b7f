# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two real processes (gloo over the loopback) train what one process trains, and end together."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dppo_ros.core.errors import CheckpointError, ConfigError
from sim_training.algorithms.config import ScheduleConfig
from sim_training.checkpoint import load_checkpoint, numbered_checkpoints
from sim_training.config import FinetuneConfig, PretrainConfig
from sim_training.config_file import save_config
from sim_training.diffusion.config import DiffusionConfig
from sim_training.distributed import ALONE, World
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.pretrain import run_pretrain
from sim_training.rl.experience import Experience
from sim_training.share import Share, whole

Change = Callable[..., Any]
Config = PretrainConfig | FinetuneConfig
ROOT = Path(__file__).resolve().parents[2]

# One of the processes: runs commands in one process group, whatever becomes of each.
WORKER = """
import sys
from sim_training import cli
from sim_training.config import RunConfig
from sim_training.distributed import open_world
with open_world(RunConfig(peer_timeout_s=200)):
    for command, file in zip(sys.argv[1::2], sys.argv[2::2]):
        print("code", cli.main([command, "--config", file]), flush=True)
"""


def start_two(tmp_path: Path, *configs: Config) -> list[subprocess.Popen[str]]:
    """Start two processes that run the configurations one after the other."""
    words = []
    for number, config in enumerate(configs):
        file = tmp_path / f"config_{number}.yaml"
        save_config(file, config)
        words += ["pretrain" if isinstance(config, PretrainConfig) else "finetune", str(file)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    return [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, *words],
            cwd=tmp_path,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def finish(processes: list[subprocess.Popen[str]]) -> list[tuple[list[int], str]]:
    """Return the exit codes of all commands, and the messages, of every process."""
    try:
        said = [process.communicate(timeout=250) for process in processes]
    finally:
        for process in processes:
            process.kill()
    results = []
    for out, messages in said:
        codes = [int(line.split()[1]) for line in out.splitlines() if line.startswith("code ")]
        results.append((codes, messages))
    return results


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def assert_same_run(one: Path, two: Path, tolerance: float) -> None:
    """Weights, optimiser states, counters and metrics agree within a tolerance."""
    checkpoints = [load_checkpoint(numbered_checkpoints(run)[-1]) for run in (one, two)]
    assert checkpoints[0].model.keys() == checkpoints[1].model.keys()
    for name, expected in checkpoints[0].model.items():
        torch.testing.assert_close(
            checkpoints[1].model[name], expected, rtol=tolerance, atol=tolerance, msg=name
        )
    first, second = (checkpoint.training["algorithm"] for checkpoint in checkpoints)
    assert torch.equal(first["generator"], second["generator"])
    if "reward_scaling" in first:
        assert first["reward_scaling"]["count"] == second["reward_scaling"]["count"]
        assert first["reward_scaling"]["variance"] == pytest.approx(
            second["reward_scaling"]["variance"], rel=tolerance
        )
    rows = [read_metrics(run / "metrics.jsonl") for run in (one, two)]
    assert len(rows[0]) == len(rows[1]) > 0
    for ours, theirs in zip(*rows, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            if not name.startswith("time/") and "SPS" not in name and "per_second" not in name:
                assert theirs[name] == pytest.approx(value, rel=1e-3, abs=tolerance), name


def elsewhere(config: Config, change: Change, name: str) -> Any:  # noqa: ANN401
    return change(config, run__run_dir=config.run.run_dir.with_name(name))


def test_two_processes_train_what_one_trains(
    finetune_config: FinetuneConfig,
    pretrain_config: PretrainConfig,
    change: Change,
    tmp_path: Path,
) -> None:
    pretrain = change(
        pretrain_config,
        run__val_freq=1,
        n_train_steps=8,
        train__steps_per_iteration=4,
        train__batch_size=63,
        train__max_grad_norm=1.0,
        validation_fraction=0.25,
    )
    everything = change(
        finetune_config,
        train__reset_at_iteration=False,
        train__clip_advantage_lower_quantile=0.05,
        train__clip_advantage_upper_quantile=0.95,
        train__bc_loss_coeff=0.1,
        train__actor_max_grad_norm=0.5,
        train__grad_accumulate=2,
        train__value_fit="pair",
        train__batch_size=11,
        run__val_freq=1,
    )
    everything = elsewhere(everything, change, "everything")
    first_half = elsewhere(change(everything, n_train_itr=1), change, "halves")
    second_half = change(first_half, n_train_itr=2, run__resume=True)
    stopping = change(
        finetune_config,
        train__target_kl=1e-7,
        train__update_epochs=20,
        train__actor_schedule=ScheduleConfig(1e-3, 1e-3, 0),
        diffusion=DiffusionConfig(ft_denoising_steps=3),
    )
    stopping = elsewhere(stopping, change, "stopping")
    configs = [pretrain, finetune_config, everything, stopping]
    for config in configs:
        (run_pretrain if isinstance(config, PretrainConfig) else run_finetune)(config)
    pairs = [elsewhere(config, change, f"{config.run.run_dir.name}_two") for config in configs]
    refused = pairs[0]  # its run directory is not empty by then
    processes = start_two(tmp_path, *pairs, first_half, second_half, refused)
    for codes, messages in finish(processes):
        assert codes == [0] * 6 + [2], messages
        assert "is not empty" in messages
    for config, pair in zip(configs, pairs, strict=True):
        assert_same_run(config.run.run_dir, pair.run.run_dir, 2e-5)
    assert_same_run(pairs[2].run.run_dir, first_half.run.run_dir, 1e-7)
    with pytest.raises(CheckpointError, match="environments of 2 processes but 1"):
        run_finetune(change(second_half, n_train_itr=3))


def test_a_signal_ends_both_with_a_checkpoint_and_a_death_ends_the_other(
    finetune_config: FinetuneConfig, change: Change, tmp_path: Path
) -> None:
    stopped = change(finetune_config, n_train_itr=100_000)
    orphaned = elsewhere(change(stopped, run__save_freq=100_000), change, "orphaned")
    processes = start_two(tmp_path, stopped, orphaned)
    wait_for(stopped.run.run_dir / "checkpoints" / "step_0000001" / "state.json")
    processes[1].send_signal(signal.SIGTERM)
    wait_for(orphaned.run.run_dir / "metrics.jsonl")
    processes[1].kill()
    begun = time.monotonic()
    (codes, messages), (other_codes, other_messages) = finish(processes)
    assert time.monotonic() - begun < 100, "ended by the time limit, not by the lost connection"
    assert codes == [130, 2], messages
    assert other_codes == [130], other_messages
    assert "interrupted after iteration" in messages and "continue with --resume" in messages
    assert "process 0 of 2 lost contact with the others" in messages
    rows = read_metrics(stopped.run.run_dir / "metrics.jsonl")
    newest = load_checkpoint(numbered_checkpoints(stopped.run.run_dir)[-1])
    assert newest.iteration == rows[-1]["iteration"]


def test_shares_cover_the_whole_once() -> None:
    for size in (1, 2, 3):
        shares = [World(rank, size).share(10) for rank in range(size)]
        rows = torch.arange(10)
        assert torch.equal(torch.cat([share.of(rows) for share in shares]), rows)
        assert sum(share.weight for share in shares) == pytest.approx(1.0)
    assert whole(4).is_whole and not Share(0, 2, 4).is_whole


def test_a_chunk_is_found_where_its_environment_lives() -> None:
    """M = 3 steps of N = 4 environments; process 1 of 2 holds environments 2 and 3."""
    number = torch.arange(12).view(3, 4)
    nothing = torch.zeros(0)
    held = {"state": number[:, 2:].flatten()}
    experience = Experience(held, *[nothing] * 5, Share(2, 2, 4))
    chunks = torch.tensor([11, 0, 6, 5, 3, 2])
    kept, rows = experience.own(chunks)
    assert torch.equal(chunks[kept], torch.tensor([11, 6, 3, 2]))
    assert torch.equal(experience.observation["state"][rows], chunks[kept])
    alone = dataclasses.replace(experience, share=whole(4))
    kept, rows = alone.own(chunks)
    assert torch.equal(chunks[kept], chunks) and torch.equal(rows, chunks)


def test_a_world_of_one_hands_everything_back() -> None:
    values = torch.tensor([1.0, 2.0])
    assert ALONE.is_main and ALONE.gather("x") == ["x"] and not ALONE.any(False)
    assert ALONE.add(values) is values and ALONE.gather_columns(values) is values
    assert ALONE.add_gradients([], 0.5) == 0.5


def test_misfitting_worlds_are_refused(finetune_config: FinetuneConfig, change: Change) -> None:
    from sim_training.finetune import check_shares

    with pytest.raises(ConfigError, match=r"n_envs is 4 .* multiple of 3"):
        check_shares(finetune_config.train, 3)
    with pytest.raises(ConfigError, match="batch_size is 1 but 2 processes"):
        check_shares(change(finetune_config.train, batch_size=1), 2)
    run = change(finetune_config.run, device="cuda:0")
    with pytest.raises(ConfigError, match="all 2 processes on one GPU"):
        World(0, 2).localise(run)
    with pytest.raises(ConfigError, match="local process 99 has no GPU"):
        World(99, 100, 99).localise(change(run, device="cuda"))
    assert World().localise(run) is run
