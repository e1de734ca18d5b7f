# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sim_training.checks import require_at_least
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.locomotion_config import HopperConfig
from sim_training.envs.make import EnvConfig


@dataclass(frozen=True)
class BenchSimConfig:
    """Speed of a task, its scripted expert at work; furniture also beside bare mj_step."""

    env: EnvConfig = field(default_factory=FurnitureConfig)
    n_envs: int = 16
    """Cells, or environments of another task."""
    env_threads: int = 2
    """Most simulation threads that are compared with one."""
    n_steps: int = 100
    """Control steps per environment."""
    sizes: tuple[int, ...] = ()
    """Measure with these numbers of environments one after the other, instead of n_envs."""
    act_steps: int = 8
    """Control steps in one call of a simulator that makes whole chunks; only with sizes."""
    json: bool = False
    """Print JSON instead of a table."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "n_envs", "env_threads", "n_steps", "act_steps")


@dataclass(frozen=True)
class BenchRemoteConfig:
    """Cost of a simulator in a process of its own, without any simulator: the toy task."""

    n_envs: int = 50
    """Environments of the worker."""
    chunk_steps: int = 8
    """Control steps in one call that makes whole chunks."""
    repeats: int = 500
    """Calls of each kind; the figures are medians."""
    python: Path | None = None
    """Interpreter of the worker; None: this one."""
    json: bool = False
    """Print JSON instead of a table."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "n_envs", "chunk_steps", "repeats")


@dataclass(frozen=True)
class BenchPolicyConfig:
    """Latency of exported policies at batch size 1, as the robot runs them."""

    bundles: tuple[Path, ...] = ()
    """Folders written by `dppo export`, or names of shipped bundles; none: the subjects."""
    subjects: tuple[str, ...] = ("hopper_mlp", "one_leg_mlp", "one_leg_unet")
    """Policies of published sizes with random weights."""
    precisions: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")
    """Of the subjects' weights."""
    compare_eager: bool = False
    """Also time the subjects in torch."""
    busy: tuple[int, ...] = (0, 1, 2)
    """How many busy processes run beside the measurement; one measurement for each number."""
    n_calls: int = 300
    """Timed calls of each measurement."""
    threads: int = 1
    """Of ONNX Runtime."""
    json: bool = False
    """Print JSON instead of tables."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "n_calls", "threads")


@dataclass(frozen=True)
class BenchTrainConfig:
    """Time of a DPPO iteration: the Hopper policy, split into its parts."""

    env: EnvConfig = field(default_factory=HopperConfig)
    n_envs: int = 8
    """Environments simulated side by side."""
    n_steps: int = 100
    """Chunk steps per environment."""
    batch_size: int = 2000
    """(Chunk, denoising step) pairs that go through the networks at once."""
    update_epochs: int = 5
    """Passes through the rollout."""
    precision: Literal["fp32", "bf16_gradients", "bf16"] = "bf16"
    """Of the update, as in `dppo finetune`."""
    repeats: int = 3
    """Measured iterations, after one that warms up; the figures are medians."""
    threads: int = 2
    """Of torch and of the simulator."""
    json: bool = False
    """Print JSON instead of tables."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(
            1, self, "n_envs", "n_steps", "batch_size", "update_epochs", "repeats", "threads"
        )


@dataclass(frozen=True)
class BenchPretrainConfig:
    """Time of a pre-training step: the Hopper policy, split into its parts."""

    batch_size: int = 128
    """Windows in an optimiser step."""
    bf16: bool = False
    """Run the network in bfloat16."""
    n_steps: int = 200
    """Optimiser steps of a measurement."""
    repeats: int = 3
    """Measurements, after one that warms up; the figures are medians."""
    threads: int = 2
    """Of torch."""
    json: bool = False
    """Print JSON instead of tables."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "batch_size", "n_steps", "repeats", "threads")
