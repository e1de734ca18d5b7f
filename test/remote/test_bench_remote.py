# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench remote` measures what it says."""

from __future__ import annotations

import json

import pytest

from dppo_ros.core.errors import ConfigError
from sim_training.bench.config import BenchRemoteConfig
from sim_training.bench.remote import bench_remote


def test_the_cost_of_a_process_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_remote(BenchRemoteConfig(n_envs=2, chunk_steps=3, repeats=4, json=True)) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["step_in_a_worker_us"] > values["step_in_the_trainer_us"] > 0
    overhead = values["step_in_a_worker_us"] - values["step_in_the_trainer_us"]
    assert values["overhead_per_round_trip_us"] == pytest.approx(overhead)
    assert values["replaced_after_kill_s"] > 0 and values["close_s"] > 0
    with pytest.raises(ConfigError, match="repeats is 0; it must be at least 1"):
        BenchRemoteConfig(repeats=0)
