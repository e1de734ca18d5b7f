# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the settings of a furniture task to its environment on the chosen simulator."""

from __future__ import annotations

from typing import Any

from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.scene import PhysicsOptions
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.tasks import FurnitureConfig


def make_mujoco_env(
    config: FurnitureConfig, n_envs: int, threads: int = 1, options: PhysicsOptions | None = None
) -> FurnitureEnv[MujocoSimulation]:
    """A furniture task on MuJoCo's CPU threads, whatever simulator the settings name.

    Raises:
        ConfigError: n_envs or threads below 1.
    """
    rate = config.control_rate_hz
    simulation = MujocoSimulation(config.task, n_envs, threads, options, rate)
    return FurnitureEnv(config, simulation)


def make_furniture_env(config: FurnitureConfig, n_envs: int, threads: int = 1) -> FurnitureEnv[Any]:
    """A furniture task on the simulator that its settings name.

    Raises:
        ConfigError: n_envs or threads below 1.
        ImportError: the simulator is not installed.
        EnvironmentUnavailableError: the simulator is not installed.
        SimulatorError: a simulator in a process of its own cannot start.
    """
    if config.simulator == "warp":
        from sim_training.envs.furniture.chunk_env import ChunkFurnitureEnv
        from sim_training.envs.furniture.warp_simulation import WarpSimulation

        simulation = WarpSimulation(
            config.task, n_envs, memory=config.warp, control_rate_hz=config.control_rate_hz
        )
        return ChunkFurnitureEnv(config, simulation)
    if config.simulator == "isaac_gym":
        from sim_training.envs.furniture.isaac_gym import make_isaac_env

        return make_isaac_env(config, n_envs)
    return make_mujoco_env(config, n_envs, threads)
