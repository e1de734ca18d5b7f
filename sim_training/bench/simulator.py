# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench sim`: control steps per second of a simulated task."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from sim_training.bench.config import BenchSimConfig
from sim_training.bench.report import Value, print_values
from sim_training.envs.make import make_step_env
from sim_training.envs.protocol import NominalEnv
from sim_training.envs.toy import ToyReachEnv, scripted_action

if TYPE_CHECKING:
    from sim_training.envs.furniture.bare_physics import BarePhysics
    from sim_training.envs.protocol import StepEnv


def bench_sim(config: BenchSimConfig) -> int:
    """Measure and print simulator speed; only the environment's own steps are timed."""
    if config.n_steps < 1 or config.n_envs < 1:
        raise ConfigError(
            f"n_steps is {config.n_steps} and n_envs {config.n_envs}; both must be at least 1"
        )
    env = make_step_env(config.env, config.n_envs, config.env_threads)
    begun = time.perf_counter()
    observation = env.reset(np.arange(config.n_envs), np.arange(config.n_envs))
    reset_s = time.perf_counter() - begun
    cores = min(config.env_threads, config.n_envs, os.cpu_count() or 1)
    n_steps = config.n_envs * config.n_steps
    elapsed, bare = _drive(env, observation, config.n_steps)
    env.close()
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
        values["physics_steps_per_s_per_core"] = bare.physics_steps / elapsed / cores
        values["bare_mj_step_per_s_per_core"] = bare.physics_steps / bare.elapsed_s
        values["share_of_bare_mj_step"] = bare.elapsed_s / (elapsed * cores)
    print_values(values, config.json)
    return 0


def _drive(
    env: StepEnv, observation: NDArray[np.float32], n_steps: int
) -> tuple[float, BarePhysics | None]:
    """Let the scripted expert drive; episodes that end start anew.

    Returns:
        Seconds in the environment's steps, and the same physics alone where there is any.
    """
    expert, bare = _expert_and_physics(env)
    active = np.ones(env.n_envs, dtype=bool)
    elapsed = 0.0
    next_seed = env.n_envs
    for _ in range(n_steps):
        actions = expert(observation)
        if bare is not None:
            bare.remember()
        begun = time.perf_counter()
        outcome = env.step(actions, active)
        elapsed += time.perf_counter() - begun
        if bare is not None:
            bare.repeat()
        observation = outcome.observation.copy()
        ended = np.flatnonzero(outcome.terminated | outcome.truncated)
        if len(ended):
            observation[ended] = env.reset(ended, next_seed + np.arange(len(ended)))
            next_seed += len(ended)
    return elapsed, bare


def _expert_and_physics(
    env: StepEnv,
) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], BarePhysics | None]:
    """Return what drives a task, raw observations to raw actions, and its physics alone."""
    if isinstance(env, ToyReachEnv):
        rng = np.random.default_rng(0)
        return lambda seen: scripted_action(seen, env.config.max_step_m, rng, 0.0), None
    if isinstance(env, NominalEnv):
        low, high = 0.3 * env.action_range  # gentle, so that episodes last
        rng = np.random.default_rng(0)
        return lambda seen: rng.uniform(low, high, (len(seen), len(low))).astype(np.float32), None
    from sim_training.envs.furniture.bare_physics import BarePhysics
    from sim_training.envs.furniture.experts import EXPERTS
    from sim_training.envs.furniture.simulation import MujocoSimulation

    simulator = getattr(env, "simulator", None)
    bare = BarePhysics(env) if isinstance(simulator, MujocoSimulation) else None  # type: ignore[arg-type]
    return EXPERTS[env.name], bare
