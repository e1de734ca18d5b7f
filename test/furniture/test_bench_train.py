# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench train` and `pretrain`: the parts are those of the real algorithms."""

from __future__ import annotations

import json
import time

import pytest
import torch

from dppo_ros.core.errors import ConfigError
from sim_training.bench import subjects
from sim_training.bench.config import BenchPretrainConfig, BenchTrainConfig
from sim_training.bench.sections import Sections
from sim_training.bench.train import bench_pretrain, bench_train
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.toy import ToyReachConfig
from sim_training.networks.config import DiffusionMlpConfig

_CHAIN = DiffusionConfig(denoising_steps=4, ft_denoising_steps=2)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarked policy with a network of 16 and a chain of 4."""
    shape = subjects.SUBJECTS["hopper_mlp"][2]
    network = DiffusionMlpConfig(mlp_dims=(16, 16, 16))
    monkeypatch.setitem(subjects.SUBJECTS, "hopper_mlp", (network, _CHAIN, shape))


def _parts(report: dict[str, object], unit: str) -> dict[str, float]:
    rows = report["rows"]
    assert isinstance(rows, list)
    return {row["part"]: row[unit] for row in rows}


def test_the_parts_of_an_iteration_make_up_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    config = BenchTrainConfig(
        env=ToyReachConfig(), n_envs=2, n_steps=4, batch_size=8, repeats=1, threads=1, json=True
    )
    assert bench_train(config) == 0
    report = json.loads(capsys.readouterr().out)
    parts = _parts(report, "iteration_s")
    whole = parts.pop("whole")
    assert min(parts.values()) > 0
    assert sum(parts.values()) == pytest.approx(whole)
    machine = report["machine"]
    assert machine["iteration_s"] == whole
    assert machine["share_of_fp32_matmul_peak"] == pytest.approx(
        machine["matmul_gflop"] / whole / machine["fp32_matmul_gflops"]
    )


def test_operations_of_a_pre_training_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Forward two per weight and row, backward four, less the input gradient of first layers."""
    config = BenchPretrainConfig(batch_size=32, n_steps=2, repeats=1, threads=1, json=True)
    assert bench_pretrain(config) == 0
    report = json.loads(capsys.readouterr().out)
    parts = _parts(report, "step_ms")
    assert {"data", "forward", "backward", "optimiser", "other"} < set(parts)
    time_embedding = 6 * 16 * 32 + 6 * 32 * 16 - 2 * 16 * 32
    trunk = 6 * (39 * 16 + 2 * 16 * 16 + 16 * 12)
    # The trunk's input gradient is needed, because the time feature is learned.
    expected = 1e-9 * 32 * (time_embedding + trunk)
    assert report["machine"]["matmul_gflop"] == pytest.approx(expected)


def test_unusable_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="repeats is 0"):
        bench_train(BenchTrainConfig(repeats=0))
    with pytest.raises(ConfigError, match="batch_size is 0"):
        bench_pretrain(BenchPretrainConfig(batch_size=0))


class _Sleeper:
    def nap(self, seconds: float) -> str:
        time.sleep(seconds)
        return "rested"


def test_sections_measure_and_leave_no_trace() -> None:
    sections, sleeper = Sections(), _Sleeper()
    inner = torch.Tensor.__dict__["backward"]
    with sections.watch(sleeper, "nap", "sleep"), sections.watch(torch.Tensor, "backward", "grad"):
        assert sleeper.nap(0.01) == sleeper.nap(0.01) == "rested"
        torch.ones(1, requires_grad=True).sum().backward()
    assert sections.seconds["sleep"] >= 0.02
    assert sections.seconds["grad"] > 0
    assert vars(sleeper) == {}
    assert torch.Tensor.__dict__["backward"] is inner
    sleeper.nap(0.0)
    assert set(sections.seconds) == {"sleep", "grad"}
