# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench`: simulator speed and policy latency on this machine, as JSON and a table."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dppo_ros.core.errors import ConfigError
from sim_training.envs.make import EnvConfig, make_step_env
from sim_training.envs.toy import ToyReachConfig

_WARM_UP = 20


@dataclass(frozen=True)
class BenchSimConfig:
    """Control steps per second of a simulated task, the robot holding its start action."""

    env: EnvConfig = field(default_factory=ToyReachConfig)
    n_envs: int = 16
    env_threads: int = 2
    n_steps: int = 100
    """Control steps per environment."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class BenchPolicyConfig:
    """Latency of an exported policy at batch size 1, as the robot runs it."""

    bundle: Path = Path("bundle")
    n_calls: int = 1000
    threads: int = 1
    json: bool = False
    """Print JSON instead of a table."""


def bench_sim(config: BenchSimConfig) -> int:
    """Measure and print simulator speed.

    Every environment repeats one constant action in the middle of what its observation says, so
    the arms move, but no policy is involved.
    """
    if config.n_steps < 1 or config.n_envs < 1:
        raise ConfigError(
            f"n_steps is {config.n_steps} and n_envs {config.n_envs}; both must be at least 1"
        )
    env = make_step_env(config.env, config.n_envs, config.env_threads)
    ids = np.arange(config.n_envs)
    active = np.ones(config.n_envs, dtype=bool)
    begun = time.perf_counter()
    observation = env.reset(ids, ids)
    reset_s = time.perf_counter() - begun
    actions = np.zeros((config.n_envs, env.action_spec.dim), dtype=np.float32)
    shared = min(observation.shape[1], actions.shape[1])
    actions[:, :shared] = observation[:, :shared]
    begun = time.perf_counter()
    for _ in range(config.n_steps):
        env.step(actions, active)
    elapsed = time.perf_counter() - begun
    env.close()
    rate = config.n_envs * config.n_steps / elapsed
    cores = min(config.env_threads, os.cpu_count() or 1)
    _report(
        {
            "task": env.name,
            "n_envs": config.n_envs,
            "threads": config.env_threads,
            "control_steps_per_s": rate,
            "control_steps_per_s_per_core": rate / cores,
            "real_time_factor": rate / env.control_rate_hz,
            "reset_ms_per_env": 1e3 * reset_s / config.n_envs,
        },
        config.json,
    )
    return 0


def bench_policy(config: BenchPolicyConfig) -> int:
    """Measure and print the latency of a bundle."""
    from dppo_ros.core.bundle import load_bundle
    from dppo_ros.core.runtime import PolicyRuntime

    if config.n_calls < 1:
        raise ConfigError(f"n_calls is {config.n_calls}; it must be at least 1")
    bundle = load_bundle(config.bundle)
    runtime = PolicyRuntime(bundle, threads=config.threads)
    rng = np.random.default_rng(0)
    observation = bundle.golden["observation"][0]
    times = []
    for index in range(config.n_calls + _WARM_UP):
        noise = runtime.sample_noise(rng)
        begun = time.perf_counter()
        runtime.infer(observation, noise)
        if index >= _WARM_UP:
            times.append(1e3 * (time.perf_counter() - begun))
    median, p99 = np.percentile(times, [50, 99])
    _report(
        {
            "bundle": bundle.manifest.name,
            "ddim_steps": bundle.manifest.denoising.ddim_steps,
            "threads": config.threads,
            "median_ms": float(median),
            "p99_ms": float(p99),
            "max_ms": float(np.max(times)),
            "golden_error": runtime.golden_error,
        },
        config.json,
    )
    return 0


def _report(values: dict[str, str | int | float], as_json: bool) -> None:
    if as_json:
        print(json.dumps(values, indent=1))
        return
    table = Table()
    table.add_column("measure")
    table.add_column("value", justify="right")
    for name, value in values.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
