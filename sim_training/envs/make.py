# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a task configuration to a running environment. The table of task names lives here.

Simulators are imported only when their task is chosen, so that missing packages hurt nobody else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from dppo_ros.core.errors import EnvironmentUnavailableError
from sim_training.envs.announced import (
    MISSING,
    AvoidingConfig,
    KitchenConfig,
)
from sim_training.envs.furniture.pixel_config import OneLegPixelsConfig
from sim_training.envs.furniture.tasks import TASKS, FurnitureConfig
from sim_training.envs.locomotion_config import HalfCheetahConfig, HopperConfig, Walker2dConfig
from sim_training.envs.remote import RemoteTask, open_remote_env
from sim_training.envs.robomimic import RobomimicConfig, make_robomimic_env
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv
from sim_training.envs.toy_pixels import ToyReachPixelsConfig, ToyReachPixelsEnv

if TYPE_CHECKING:
    from sim_training.envs.protocol import StepEnv

EnvConfig = Union[  # noqa: UP007  (read at run time by tyro)
    ToyReachConfig,
    ToyReachPixelsConfig,
    FurnitureConfig,
    OneLegPixelsConfig,
    HopperConfig,
    Walker2dConfig,
    HalfCheetahConfig,
    KitchenConfig,
    RobomimicConfig,
    AvoidingConfig,
]
"""Configuration of any task; the field `name` says which."""

SIMULATORS = {
    "toy_reach": "numpy",
    "toy_reach_pixels": "numpy",
    **dict.fromkeys(TASKS, "mujoco"),
    "one_leg_pixels": "mujoco",
    "hopper": "envpool",
    "walker2d": "envpool",
    "halfcheetah": "envpool",
    **dict.fromkeys(("lift", "can", "square", "transport"), "robosuite"),
}
"""Task name -> its usual simulator, as noted in policy bundles; the tasks that run today."""


def make_step_env(config: EnvConfig, n_envs: int, threads: int = 1) -> StepEnv:
    """Return the environment that a task configuration describes.

    Args:
        config: task configuration; its `name` selects the task.
        n_envs: number of parallel environments.
        threads: simulation threads, where the simulator has any.

    Raises:
        EnvironmentUnavailableError: the simulator of this task is not installed, or this version
            has no adapter for it.
    """
    if isinstance(config, ToyReachConfig):
        return _make_toy(config, n_envs, threads)
    if isinstance(config, RobomimicConfig):
        return make_robomimic_env(config, n_envs, threads)
    if isinstance(config, ToyReachPixelsConfig):
        return ToyReachPixelsEnv(config, n_envs)
    try:
        if isinstance(config, FurnitureConfig):
            from sim_training.envs.furniture.make import make_furniture_env
            from sim_training.envs.furniture.sensing import with_sensors

            env = make_furniture_env(config, n_envs, threads)
            return with_sensors(env, config.randomisation, config.task.pairs[0].base)
        if isinstance(config, OneLegPixelsConfig):
            from sim_training.envs.furniture.pixels import OneLegPixelsEnv

            return OneLegPixelsEnv(config, n_envs, threads)
        if isinstance(config, (HopperConfig, Walker2dConfig, HalfCheetahConfig)):
            from sim_training.envs.locomotion import LocomotionEnv

            return LocomotionEnv(config, n_envs, threads)
    except ImportError as error:
        if error.name == "envpool" and sys.version_info < (3, 11):
            raise EnvironmentUnavailableError(
                f"task {config.name!r} needs EnvPool, which exists for Python 3.11 and newer; this "
                "is an older one: use `make setup PYTHON=python3.11`, or choose one_leg"
            ) from error
        raise EnvironmentUnavailableError(
            f"task {config.name!r} needs the package {error.name!r}, which is not installed; "
            "run `dppo doctor` to see how to get it, or choose toy_reach"
        ) from error
    raise EnvironmentUnavailableError(
        f"task {config.name!r} needs {MISSING[type(config)]}, for which this version has no "
        f"adapter; tasks that run: {', '.join(SIMULATORS)}"
    )


def _make_toy(config: ToyReachConfig, n_envs: int, threads: int) -> StepEnv:
    if not config.remote:
        return ToyReachEnv(config, n_envs)
    python = config.worker.python or Path(sys.executable)
    task = RemoteTask("toy", python, config.task_settings())
    return open_remote_env(task, n_envs, threads, config.worker)


def make_env_config(values: dict[str, Any]) -> EnvConfig:
    """Return the configuration of a task from the plain values a checkpoint holds.

    Raises:
        ConfigError: unknown task or setting.
    """
    from sim_training.config_file import choose_member, merge

    default = choose_member(EnvConfig, str(values.get("name")), None, "env")
    return merge(default, values, "env")
