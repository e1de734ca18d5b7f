# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a task configuration to a running environment. The table of task names lives here.

Simulators are imported only when their task is chosen, so that missing packages hurt nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from dppo_ros.core.errors import EnvironmentUnavailableError
from sim_training.envs.furniture.task import OneLegConfig
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv

if TYPE_CHECKING:
    from sim_training.envs.protocol import StepEnv

EnvConfig = Union[ToyReachConfig, OneLegConfig]  # noqa: UP007  (read at run time by tyro)
"""Configuration of any task; the field `name` says which."""

SIMULATORS = {"toy_reach": "numpy", "one_leg": "mujoco"}
"""Task name -> simulator, as noted in policy bundles."""


def make_step_env(config: EnvConfig, n_envs: int, threads: int = 1) -> StepEnv:
    """Return the environment that a task configuration describes.

    Args:
        config: task configuration; its `name` selects the task.
        n_envs: number of parallel environments.
        threads: simulation threads, where the simulator has any.

    Raises:
        EnvironmentUnavailableError: the simulator of this task is not installed.
    """
    if isinstance(config, ToyReachConfig):
        return ToyReachEnv(config, n_envs)
    try:
        from sim_training.envs.furniture.mujoco_batch import OneLegEnv
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"task {config.name!r} needs the package {error.name!r}, which is not installed; "
            "run `dppo doctor` to see how to get it, or choose toy_reach"
        ) from error
    return OneLegEnv(config, n_envs, threads)


def make_env_config(values: dict[str, Any]) -> EnvConfig:
    """Return the configuration of a task from the plain values a checkpoint holds.

    Raises:
        ConfigError: unknown task or setting.
    """
    from sim_training.config_file import choose_member, merge

    default = choose_member(EnvConfig, str(values.get("name")), None, "env")
    return merge(default, values, "env")
