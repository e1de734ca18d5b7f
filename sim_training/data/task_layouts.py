# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a task mean, without starting its simulator (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.observation import furniture_action_spec, furniture_observation_spec
from dppo_ros.core.spec import VectorSpec
from sim_training.envs.furniture.task import CONTROL_RATE_HZ
from sim_training.envs.make import EnvConfig
from sim_training.envs.toy import ToyReachEnv


@dataclass(frozen=True)
class TaskLayout:
    """Names and units of a task's numbers; None where the project does not know them.

    Attributes:
        observation_spec: layout of an observation.
        action_spec: layout of an action.
        control_rate_hz: control steps per second.
    """

    observation_spec: VectorSpec | None = None
    action_spec: VectorSpec | None = None
    control_rate_hz: float | None = None


def task_layout(task: str) -> TaskLayout:
    """Return the layout of a task by its name in configurations.

    Raises:
        ConfigError: there is no such task.
    """
    configs = {config.name: config for config in get_args(EnvConfig)}
    if task not in configs:
        raise ConfigError(unknown_name_message("task", task, configs))
    if task == ToyReachEnv.name:
        source: object = ToyReachEnv
    elif task == "one_leg":
        return TaskLayout(furniture_observation_spec(), furniture_action_spec(), CONTROL_RATE_HZ)
    else:
        source = configs[task]
    return TaskLayout(
        getattr(source, "observation_spec", None),
        getattr(source, "action_spec", None),
        getattr(source, "control_rate_hz", None),
    )
