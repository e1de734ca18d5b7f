# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench sim`: control steps per second of a simulated task."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from sim_training.bench.config import BenchSimConfig
from sim_training.bench.report import Row, Value, print_rows, print_values
from sim_training.envs.make import make_step_env
from sim_training.envs.protocol import ChunkSteppable, NominalEnv
from sim_training.envs.toy import ToyReachEnv, scripted_action

if TYPE_CHECKING:
    from sim_training.envs.furniture.bare_physics import BarePhysics
    from sim_training.envs.protocol import StepEnv, StepOutcome

    Expert = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class _Timed:
    """An environment whose steps are timed."""

    def __init__(self, env: StepEnv) -> None:
        self.env = env
        self.elapsed_s = 0.0

    def step(self, actions: NDArray[np.float32], active: NDArray[np.bool_]) -> StepOutcome:
        begun = time.perf_counter()
        outcome = self.env.step(actions, active)
        self.elapsed_s += time.perf_counter() - begun
        return outcome


def bench_sim(config: BenchSimConfig) -> int:
    """Measure and print simulator speed; only the environments' own steps are timed.

    Where there is physics to compare with, the same episodes run step by step in turn on one
    thread, on all threads and through bare ``mj_step``, so that a machine whose speed drifts
    changes all of them alike.
    """
    if min(config.n_steps, config.n_envs, config.act_steps, *config.sizes) < 1:
        raise ConfigError(
            f"n_steps is {config.n_steps}, n_envs {config.n_envs}, act_steps {config.act_steps}, "
            f"sizes {config.sizes}; all must be at least 1"
        )
    if config.sizes:
        return _bench_sizes(config)
    env = make_step_env(config.env, config.n_envs, config.env_threads)
    expert, bare = _expert_and_physics(env)
    timed = [_Timed(env)]
    if bare is not None and config.env_threads > 1:
        timed.append(_Timed(make_step_env(config.env, config.n_envs, 1)))
    reset_s = _drive(timed, expert, bare, config.n_steps)
    for one in timed:
        one.env.close()
    cores = min(config.env_threads, config.n_envs, os.cpu_count() or 1)
    n_steps, elapsed = config.n_envs * config.n_steps, timed[0].elapsed_s
    values: dict[str, Value] = {
        "task": env.name,
        "n_envs": config.n_envs,
        "threads": config.env_threads,
        "control_steps_per_s": n_steps / elapsed,
        "control_steps_per_s_per_core": n_steps / elapsed / cores,
        "real_time_factor": n_steps / elapsed / env.control_rate_hz,
        "reset_ms_per_env": 1e3 * reset_s / config.n_envs,
    }
    if bare is not None:
        alone = timed[-1].elapsed_s
        values["physics_steps_per_s_per_core"] = bare.physics_steps / elapsed / cores
        values["bare_mj_step_per_s_per_core"] = bare.physics_steps / bare.elapsed_s
        values["share_of_bare_mj_step"] = bare.elapsed_s / (elapsed * cores)
        values["one_thread_control_steps_per_s"] = n_steps / alone
        values["one_thread_overhead_over_bare"] = alone / bare.elapsed_s - 1.0
        values["speedup_by_threads"] = alone / elapsed
    print_values(values, config.json)
    return 0


def _bench_sizes(config: BenchSimConfig) -> int:
    """Measure and print speed over the number of environments; chunks repeat one action."""
    rows: list[Row] = []
    for n_envs in config.sizes:
        begun = time.perf_counter()
        env = make_step_env(config.env, n_envs, config.env_threads)
        expert, _ = _expert_and_physics(env)
        observation = env.reset(np.arange(n_envs), np.arange(n_envs))
        step = _chunks_of(env, config.act_steps)
        step(expert(observation))  # what is compiled or allocated at first does not count
        ready_s = time.perf_counter() - begun
        calls = max(1, config.n_steps // config.act_steps)
        begun = time.perf_counter()
        for _ in range(calls):
            observation = step(expert(observation))
        rate = n_envs * calls * config.act_steps / (time.perf_counter() - begun)
        env.close()
        rows.append(
            {
                "n_envs": n_envs,
                "control_steps_per_s": rate,
                "real_time_factor": rate / env.control_rate_hz,
                "ms_per_chunk": 1e3 * n_envs * config.act_steps / rate,
                "ready_after_s": ready_s,
            }
        )
    subject = {"task": config.env.name, "simulator": getattr(config.env, "simulator", None)}
    print_rows({**subject, "act_steps": config.act_steps}, rows, config.json)
    return 0


def _chunks_of(env: StepEnv, act_steps: int) -> Expert:
    """Return what executes an action of every environment act_steps times, episodes unended."""
    active = np.ones(env.n_envs, dtype=bool)

    def step(actions: NDArray[np.float32]) -> NDArray[np.float32]:
        if isinstance(env, ChunkSteppable):
            chunk = np.repeat(actions[:, None], act_steps, axis=1)
            return env.step_chunk(chunk, active)[-1].observation
        for _ in range(act_steps):
            outcome = env.step(actions, active)
        return outcome.observation

    return step


def _drive(
    timed: Sequence[_Timed], expert: Expert, bare: BarePhysics | None, n_steps: int
) -> float:
    """Let the scripted expert drive all environments alike; episodes that end start anew.

    Returns:
        Seconds that the first reset of the first environment took.
    """
    n_envs = timed[0].env.n_envs
    begun = time.perf_counter()
    observation = timed[0].env.reset(np.arange(n_envs), np.arange(n_envs))
    reset_s = time.perf_counter() - begun
    for one in timed[1:]:
        one.env.reset(np.arange(n_envs), np.arange(n_envs))
    active = np.ones(n_envs, dtype=bool)
    next_seed = n_envs
    for _ in range(n_steps):
        actions = expert(observation)
        if bare is not None:
            bare.remember()
        outcome = timed[0].step(actions, active)
        if bare is not None:
            bare.repeat()
        for one in timed[1:]:
            one.step(actions, active)
        observation = outcome.observation.copy()
        ended = np.flatnonzero(outcome.terminated | outcome.truncated)
        if len(ended):
            seeds = next_seed + np.arange(len(ended))
            for one in timed:
                observation[ended] = one.env.reset(ended, seeds)
            next_seed += len(ended)
    return reset_s


def _expert_and_physics(
    env: StepEnv,
) -> tuple[Expert, BarePhysics | None]:
    """Return what drives a task, raw observations to raw actions, and its physics alone."""
    if isinstance(env, ToyReachEnv):
        rng = np.random.default_rng(0)
        return lambda seen: scripted_action(seen, env.config.max_step_m, rng, 0.0), None
    if isinstance(env, NominalEnv):
        low, high = 0.3 * env.action_range  # gentle, so that episodes last
        rng = np.random.default_rng(0)
        return lambda seen: rng.uniform(low, high, (len(seen), len(low))).astype(np.float32), None
    if env.name == "lift":
        from sim_training.envs.lift_expert import lift_actions

        return lift_actions, None
    from sim_training.envs.furniture.bare_physics import BarePhysics
    from sim_training.envs.furniture.experts import EXPERTS
    from sim_training.envs.furniture.simulation import MujocoSimulation

    simulator = getattr(env, "simulator", None)
    bare = BarePhysics(env) if isinstance(simulator, MujocoSimulation) else None  # type: ignore[arg-type]
    return EXPERTS[env.name], bare
