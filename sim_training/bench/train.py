# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench train` and `dppo bench pretrain`: iterations of the real algorithms, by parts.

The operations of the matrix products are counted in an iteration of their own, not in the measured
ones. Their share of the peak counts the whole iteration, simulation included.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch.utils.flop_counter import FlopCounterMode

from dppo_ros.core.errors import ConfigError
from sim_training.algorithms.config import DiffusionBcConfig, DppoConfig
from sim_training.algorithms.diffusion_bc import DiffusionBc
from sim_training.algorithms.dppo import Dppo
from sim_training.bench.config import BenchPretrainConfig, BenchTrainConfig
from sim_training.bench.report import Row, Value, print_rows
from sim_training.bench.sections import Sections
from sim_training.bench.subjects import Subject, make_subject
from sim_training.bench.yardstick import Yardstick, measure_yardstick
from sim_training.data.sequence import WindowDataset
from sim_training.envs.chunk import ChunkEnv
from sim_training.envs.make import make_step_env
from sim_training.envs.seeds import SeedStream
from sim_training.evaluate import chunk_settings
from sim_training.networks.config import CriticConfig
from sim_training.networks.critic import StateCritic

_SUBJECT = "hopper_mlp"
_WINDOWS = 20_000
_ITERATIONS = 10**6

Measured = dict[str, float]


def bench_train(config: BenchTrainConfig) -> int:
    """Measure and print DPPO iterations."""
    _require_positive(repeats=config.repeats, n_envs=config.n_envs, n_steps=config.n_steps)
    peak = measure_yardstick(config.threads)
    step_env = make_step_env(config.env, config.n_envs, config.threads)
    try:
        subject = make_subject(_SUBJECT, step_env.observation_spec.dim, step_env.action_spec.dim)
        env = ChunkEnv(step_env, chunk_settings(subject.header), SeedStream(0))
        algorithm = _make_dppo(config, subject, env)
        _dppo_iteration(algorithm)
        measured = [_dppo_iteration(algorithm) for _ in range(config.repeats)]
        flops = _flops(lambda: _dppo_iteration(algorithm))
    finally:
        step_env.close()
    facts = {
        "task": config.env.name,
        "n_envs": config.n_envs,
        "n_steps": config.n_steps,
        "precision": config.precision,
    }
    _report("iteration_s", facts, measured, flops, peak, config.json)
    return 0


def bench_pretrain(config: BenchPretrainConfig) -> int:
    """Measure and print pre-training steps."""
    _require_positive(repeats=config.repeats, n_steps=config.n_steps, batch_size=config.batch_size)
    peak = measure_yardstick(config.threads)
    algorithm, windows = _make_pretraining(config)
    _pretraining_steps(algorithm, windows)
    measured = [_pretraining_steps(algorithm, windows) for _ in range(config.repeats)]
    flops = _flops(lambda: _pretraining_steps(algorithm, windows)) / config.n_steps
    steps = [{name: 1.0 / config.n_steps * s for name, s in one.items()} for one in measured]
    facts = {"batch_size": config.batch_size, "precision": "bf16" if config.bf16 else "fp32"}
    _report("step_ms", facts, steps, flops, peak, config.json)
    return 0


def _make_dppo(config: BenchTrainConfig, subject: Subject, env: ChunkEnv) -> Dppo:
    critic = StateCritic(CriticConfig(), subject.header.shape)
    train = DppoConfig(
        n_envs=config.n_envs,
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        update_epochs=config.update_epochs,
        precision=config.precision,
        reset_at_iteration=False,
    )
    return Dppo(train, subject.policy, critic, env, _ITERATIONS, seed=0)


def _dppo_iteration(algorithm: Dppo) -> Measured:
    """Run one iteration and return seconds: the whole and its parts."""
    sections = Sections()
    parts = (
        (algorithm._objective, "backward", "actor"),
        (algorithm._objective, "loss", "forward"),
        (algorithm._actor, "step", "optimiser"),
        (algorithm, "_critic_step", "critic"),
    )
    begun = time.perf_counter()
    with ExitStack() as stack:
        for owner, method, section in parts:
            stack.enter_context(sections.watch(owner, method, section))
        metrics = algorithm.collect(lambda: False) | algorithm.update()
    total = time.perf_counter() - begun
    seconds = sections.seconds
    return {
        "whole": total,
        "simulation": metrics["time/simulation_s"],
        # The likelihoods of the acting network are taken while sampling, and cost next to nothing.
        "sampling_and_old_log_probs": metrics["time/sampling_s"],
        "values_and_advantages": metrics["time/targets_s"],
        "forward": seconds["forward"],
        "backward": seconds["actor"] - seconds["forward"],
        "optimiser": seconds["optimiser"],
        "critic": seconds["critic"],
    }


def _make_pretraining(config: BenchPretrainConfig) -> tuple[DiffusionBc, WindowDataset]:
    subject = make_subject(_SUBJECT)
    policy, shape = subject.policy, subject.header.shape
    policy.actor_ft = None
    policy.requires_grad_(True)
    width = shape.cond_steps * shape.obs_dim + shape.horizon_steps * shape.action_dim
    rows = torch.rand(_WINDOWS, width, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    windows = WindowDataset(
        rows, shape.cond_steps, shape.obs_dim, shape.horizon_steps, shape.action_dim
    )
    train = DiffusionBcConfig(
        batch_size=config.batch_size, steps_per_iteration=config.n_steps, bf16=config.bf16
    )
    return DiffusionBc(train, policy, windows, None, _ITERATIONS, seed=0), windows


def _pretraining_steps(algorithm: DiffusionBc, windows: WindowDataset) -> Measured:
    sections = Sections()
    parts: tuple[tuple[object, str, str], ...] = (
        (windows, "batch", "data"),
        (algorithm.policy, "bc_loss", "forward"),
        (torch.Tensor, "backward", "backward"),
        (algorithm.optimizer, "step", "optimiser"),
        (algorithm, "_update_ema", "averaging"),
    )
    begun = time.perf_counter()
    with ExitStack() as stack:
        for owner, method, section in parts:
            stack.enter_context(sections.watch(owner, method, section))
        algorithm.update()
    return {"whole": time.perf_counter() - begun, **sections.seconds}


def _flops(action: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        action()
    return float(counter.get_total_flops())


def _report(
    unit: str,
    facts: Row,
    measured: list[Measured],
    flops: float,
    peak: Yardstick,
    as_json: bool,
) -> None:
    """Print the medians of the parts, in seconds or milliseconds, and the share of the peak."""
    factor = 1e3 if unit.endswith("ms") else 1.0
    medians = {name: statistics.median(one[name] for one in measured) for name in measured[0]}
    whole = medians["whole"]
    machine: dict[str, Value] = {
        "threads": peak.threads,
        "fp32_matmul_gflops": peak.fp32_gflops,
        "bf16_matmul_gflops": peak.bf16_gflops,
        "memory_gb_s": peak.memory_gb_s,
        **facts,
        unit: factor * whole,
        "matmul_gflop": 1e-9 * flops,
        "share_of_fp32_matmul_peak": 1e-9 * flops / whole / peak.fp32_gflops,
    }
    medians["other"] = whole - sum(s for name, s in medians.items() if name != "whole")
    rows: list[Row] = [
        {"part": name, unit: factor * seconds, "share": seconds / whole}
        for name, seconds in medians.items()
    ]
    print_rows(machine, rows, as_json)


def _require_positive(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ConfigError(f"{name} is {count}; it must be at least 1")
