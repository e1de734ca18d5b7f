# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a task mean, without starting its simulator (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.observation import furniture_action_spec, furniture_observation_spec
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.envs.announced import TASK_SIZES
from sim_training.envs.furniture.pixel_config import ROBOT_OBSERVATION_SPEC
from sim_training.envs.furniture.task import CONTROL_RATE_HZ
from sim_training.envs.furniture.tasks import TASKS
from sim_training.envs.locomotion_config import LocomotionConfig
from sim_training.envs.make import SIMULATORS, make_env_config
from sim_training.envs.robomimic import robomimic_specs
from sim_training.envs.toy import ToyReachEnv
from sim_training.envs.toy_pixels import ToyReachPixelsEnv
from sim_training.remote_worker.robosuite_layout import TASKS as ROBOMIMIC_TASKS


@dataclass(frozen=True)
class TaskLayout:
    """Names and units of a task's numbers.

    Attributes:
        observation_spec: layout of an observation.
        action_spec: layout of an action.
        control_rate_hz: control steps per second; None for a task without an adapter.
    """

    observation_spec: VectorSpec
    action_spec: VectorSpec
    control_rate_hz: float | None = None


def task_layout(task: str, pixels: bool = False) -> TaskLayout:
    """Return the layout of a task by its name in configurations.

    Args:
        task: its name.
        pixels: whether images come along; some tasks then leave objects out of the observation.

    Raises:
        ConfigError: there is no such task, or it has no pixel variant.
    """
    if task in ROBOMIMIC_TASKS and not pixels:
        return TaskLayout(*robomimic_specs(task))
    if task in TASK_SIZES:
        size = TASK_SIZES[task]
        obs_dim = size.pixel_obs_dim if pixels else size.obs_dim
        if obs_dim == 0:
            raise ConfigError(f"task {task!r} has no pixel variant, but the data holds images")
        return TaskLayout(_anonymous("state", obs_dim), _anonymous("action", size.action_dim))
    if task not in SIMULATORS:
        raise ConfigError(unknown_name_message("task", task, (*SIMULATORS, *TASK_SIZES)))
    if task in TASKS:
        seen = furniture_observation_spec(TASKS[task].parts)
        return TaskLayout(seen, furniture_action_spec(), CONTROL_RATE_HZ)
    if task == "one_leg_pixels":
        return TaskLayout(ROBOT_OBSERVATION_SPEC, furniture_action_spec(), CONTROL_RATE_HZ)
    if task in (ToyReachEnv.name, ToyReachPixelsEnv.name):
        toy = ToyReachEnv if task == ToyReachEnv.name else ToyReachPixelsEnv
        return TaskLayout(toy.observation_spec, toy.action_spec, toy.control_rate_hz)
    config = make_env_config({"name": task})
    if not isinstance(config, LocomotionConfig):
        raise ConfigError(f"the layout of task {task!r} is not written down in task_layouts")
    return TaskLayout(config.observation_spec, config.action_spec, config.control_rate_hz)


def _anonymous(name: str, size: int) -> VectorSpec:
    """Return a layout for a task whose numbers have no names here yet."""
    components = tuple(str(index) for index in range(size))
    return VectorSpec((Field(name, size, "1", "none", components, "as in the reference"),))
