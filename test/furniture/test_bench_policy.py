# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench policy`: what it counts and prints; how fast anything is belongs to no test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.runtime import PolicyRuntime
from sim_training.bench import subjects
from sim_training.bench.config import BenchPolicyConfig
from sim_training.bench.load import busy_processes
from sim_training.bench.policy import bench_policy, time_calls, weight_bytes
from sim_training.bench.subjects import make_bundle, make_subject
from sim_training.bench.yardstick import measure_yardstick, read_bandwidth_gb_s
from sim_training.diffusion.config import DiffusionConfig
from sim_training.networks.config import DiffusionMlpConfig
from sim_training.networks.shape import PolicyShape

_CHAIN = DiffusionConfig(use_ddim=True, ddim_steps=3, ft_denoising_steps=2)
_SHAPE = PolicyShape(obs_dim=5, action_dim=2, cond_steps=1, horizon_steps=4, act_steps=4)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    network = DiffusionMlpConfig(mlp_dims=(16, 16, 16))
    monkeypatch.setitem(subjects.SUBJECTS, "small", (network, _CHAIN, _SHAPE))


def test_weights_are_counted_each_time_they_are_read() -> None:
    graph = make_bundle(make_subject("small"), "fp32").graph
    # Per step: chunk to 16, two layers of 16 x 16 (one bias is folded away), 16 to chunk. Once per
    # network: the observation part of the first layer with its bias of zeros.
    step = 8 * 16 + 2 * 16 * 16 + 16 + 16 * 8
    network = 5 * 16 + 16
    assert weight_bytes(graph) == 4 * (3 * step + 2 * network)


def test_both_networks_of_a_subject_differ() -> None:
    policy = make_subject("small").policy
    assert policy.actor_ft is not None
    for base, tuned in zip(policy.base.parameters(), policy.actor_ft.parameters(), strict=True):
        assert not base.equal(tuned)


def test_a_subject_runs_as_a_robot_would_run_it() -> None:
    bundle = make_bundle(make_subject("small"), "fp32")
    assert bundle.manifest.denoising.ft_denoising_steps == 2
    assert PolicyRuntime(bundle).golden_error < 1e-5


def test_rows_for_every_precision_and_load(capsys: pytest.CaptureFixture[str]) -> None:
    config = BenchPolicyConfig(
        subjects=("small",), n_calls=3, busy=(1, 0), compare_eager=True, json=True
    )
    assert bench_policy(config) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["machine"]["threads"] == 1
    assert min(v for v in report["machine"].values()) > 0
    rows = report["rows"]
    assert [(row["busy_processes"], row["runtime"]) for row in rows] == [
        (busy, runtime) for busy in (0, 1) for runtime in ("fp32", "int8", "torch eager")
    ]
    for row in rows:
        assert 0 < row["median_ms"] <= row["p99_ms"] <= row["max_ms"]
        eager = next(
            other["median_ms"]
            for other in rows
            if other["runtime"] == "torch eager"
            and other["busy_processes"] == row["busy_processes"]
        )
        assert row["times_eager"] == pytest.approx(eager / row["median_ms"])
    assert rows[0]["max_error"] < 1e-4
    assert rows[0]["weights_read_mb"] > 0
    assert rows[2]["weights_read_mb"] is None


def test_the_table_fits_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    bench_policy(BenchPolicyConfig(subjects=("small",), precisions=("fp32",), n_calls=2, busy=(0,)))
    shown = capsys.readouterr().out
    assert "small" in shown and "fp32_matmul_gflops" in shown


def test_a_bundle_from_disk(pretrained_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench_policy(BenchPolicyConfig(bundles=(pretrained_bundle,), n_calls=2, busy=(0,), json=True))
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["policy"] == "one_leg_low"
    assert row["share_of_matmul_peak"] is None


@pytest.fixture
def pretrained_bundle() -> Path:
    return Path(__file__).parents[2] / "config" / "bundles" / "one_leg_low"


def test_busy_processes_end_with_their_block() -> None:
    with busy_processes(2) as workers:
        assert [worker.poll() for worker in workers] == [None, None]
    assert all(worker.poll() is not None for worker in workers)


def test_durations_leave_out_the_warm_up() -> None:
    calls = []
    assert len(time_calls(lambda: calls.append(0), 5)) == 5
    assert len(calls) > 5


def test_the_yardstick_measures_every_peak() -> None:
    peak = measure_yardstick(1)
    assert min(peak.fp32_gflops, peak.bf16_gflops, peak.memory_gb_s) > 0
    assert read_bandwidth_gb_s(10) > 0


def test_unknown_subjects_are_refused() -> None:
    with pytest.raises(ConfigError, match="hopper_mlp"):
        make_subject("hopper_mpl")
