# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks of robomimic on robosuite, in the interpreter that `make robomimic` creates.

This module needs NumPy only; the simulator is in `sim_training.remote_worker.robosuite_tasks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from dppo_ros.core.spec import VectorSpec
from sim_training.envs.announced import TASK_SIZES, TaskSize
from sim_training.envs.remote import RemoteEnv, RemoteTask, open_remote_env
from sim_training.envs.worker_settings import WorkerSettings, find_interpreter
from sim_training.remote_worker.robosuite_layout import CONTROL_RATE_HZ, TASKS

SIMULATOR = "robomimic"
"""Name of the interpreter: `make robomimic`, `.venv-robomimic`, `DPPO_ROBOMIMIC_PYTHON`."""


@dataclass(frozen=True)
class RobomimicConfig:
    """Robomimic manipulation on robosuite, from states; images only in imported policies."""

    name: Literal["lift", "can", "square", "transport"] = "lift"
    """Which task, of those that go by these settings."""
    pixels: bool = False
    """Images and proprioception instead of the object's state: sizes only, nothing runs them."""
    max_episode_steps: int | None = None
    """Control steps after which an episode is truncated; None: as published."""
    terminate_on_success: bool = False
    """End an episode with the task; published: it goes on to the limit, 1 for each done step."""
    worker: WorkerSettings = field(default_factory=lambda: WorkerSettings(start_timeout_s=600.0))
    """Processes that run the simulator."""

    def __post_init__(self) -> None:
        """Refuse episodes without steps.

        Raises:
            ConfigError: max_episode_steps is not positive.
        """
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ConfigError(
                f"max_episode_steps is {self.max_episode_steps}; it must be at least 1, or null "
                "for the published length"
            )

    @property
    def size(self) -> TaskSize:
        """Published sizes of the chosen task."""
        return TASK_SIZES[self.name]

    @property
    def obs_dim(self) -> int:
        """Numbers in an observation, images not counted."""
        return self.size.pixel_obs_dim if self.pixels else self.size.obs_dim

    @property
    def action_dim(self) -> int:
        """Numbers in an action."""
        return self.size.action_dim

    @property
    def cameras(self) -> int:
        """Cameras of the chosen variant."""
        return self.size.cameras if self.pixels else 0


def robomimic_specs(task: str) -> tuple[VectorSpec, VectorSpec, float]:
    """Return layouts of observation and action, and control steps per second."""
    chosen = TASKS[task]
    return (
        VectorSpec.from_json(chosen.observation()),
        VectorSpec.from_json(chosen.action()),
        CONTROL_RATE_HZ,
    )


def make_robomimic_env(config: RobomimicConfig, n_envs: int, threads: int) -> RemoteEnv:
    """Start robosuite workers.

    Raises:
        EnvironmentUnavailableError: the interpreter is missing, or images are asked for.
        SimulatorError: a worker could not start.
    """
    if config.pixels:
        raise EnvironmentUnavailableError(
            f"task {config.name!r} runs from states only; set env.pixels to false"
        )
    settings = {
        "task": config.name,
        "max_episode_steps": config.max_episode_steps or config.size.max_episode_steps,
        "terminate_on_success": config.terminate_on_success,
    }
    python = find_interpreter(SIMULATOR, config.worker.python)
    return open_remote_env(
        RemoteTask("robosuite", python, settings), n_envs, threads, config.worker
    )
