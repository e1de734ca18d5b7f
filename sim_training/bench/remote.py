# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench remote`: what a process of its own costs a simulator, and how long failures last."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sim_training.bench.config import BenchRemoteConfig
from sim_training.bench.report import Value, print_values
from sim_training.envs.protocol import StepEnv
from sim_training.envs.remote import RemoteEnv, RemoteTask, open_remote_env
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv
from sim_training.envs.worker_settings import WorkerSettings

_ENDLESS = ToyReachConfig(max_episode_steps=10**9, terminate_on_success=False)


def bench_remote(config: BenchRemoteConfig) -> int:
    """Measure and print; the toy task, whose own arithmetic takes next to nothing."""
    settings = WorkerSettings(python=config.python, chunk_steps=config.chunk_steps)
    task = RemoteTask("toy", config.python or Path(sys.executable), _ENDLESS.task_settings())
    begun = time.perf_counter()
    remote = open_remote_env(task, config.n_envs, 1, settings)
    start_s = time.perf_counter() - begun
    local = ToyReachEnv(_ENDLESS, config.n_envs)
    active = np.ones(config.n_envs, dtype=bool)
    chunk = np.zeros((config.n_envs, config.chunk_steps, 2), dtype=np.float32)
    for env in (local, remote):
        _start(env)
    local_s = _median_s(lambda: local.step(chunk[:, 0], active), config.repeats)
    step_s = _median_s(lambda: remote.step(chunk[:, 0], active), config.repeats)
    used = _processor_s(remote)
    chunk_s = _median_s(lambda: remote.step_chunk(chunk, active), config.repeats)
    busy_s = (_processor_s(remote) - used) / (config.repeats + 1)
    values: dict[str, Value] = {
        "n_envs": config.n_envs,
        "chunk_steps": config.chunk_steps,
        "start_s": start_s,
        "step_in_the_trainer_us": 1e6 * local_s,
        "step_in_a_worker_us": 1e6 * step_s,
        "chunk_in_a_worker_us": 1e6 * chunk_s,
        "overhead_per_round_trip_us": 1e6 * (step_s - local_s),
        "overhead_per_control_step_of_a_chunk_us": 1e6 * (chunk_s / config.chunk_steps - local_s),
        "processor_time_per_control_step_of_a_chunk_us": 1e6 * busy_s / config.chunk_steps,
        "replaced_after_kill_s": _replaced_after_kill_s(remote, active),
    }
    begun = time.perf_counter()
    remote.close()
    values["close_s"] = time.perf_counter() - begun
    print_values(values, config.json)
    return 0


def _start(env: StepEnv) -> None:
    env.reset(np.arange(env.n_envs), np.arange(env.n_envs))


def _median_s(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


def _processor_s(env: RemoteEnv) -> float:
    """Return the processor time used so far by trainer and worker, whatever else the machine does.

    Both count in hundredths of a second here.
    """
    stat = Path(f"/proc/{env.worker_pids[0]}/stat").read_text(encoding="utf-8")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return time.process_time() + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _replaced_after_kill_s(env: RemoteEnv, active: np.ndarray) -> float:
    """Return how long a step takes whose worker is gone, until the next episodes have begun."""
    os.kill(env.worker_pids[0], signal.SIGKILL)
    begun = time.perf_counter()
    env.step(np.zeros((env.n_envs, 2), dtype=np.float32), active)
    _start(env)
    return time.perf_counter() - begun
