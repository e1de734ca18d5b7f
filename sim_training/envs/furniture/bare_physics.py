# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same physics without anything around it: one core calling ``mj_step`` on copied cells.

What a simulator of the task could reach at best, for `dppo bench sim`.
"""

from __future__ import annotations

import time

import mujoco
import numpy as np

from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.simulation import MujocoSimulation


class BarePhysics:
    """Repeats control steps of an environment from the same states with the same inputs.

    Args:
        env: the environment to follow.
    """

    def __init__(self, env: FurnitureEnv[MujocoSimulation]) -> None:
        self._env = env
        self._data = [mujoco.MjData(env.simulator.model) for _ in range(env.n_envs)]
        self._after = mujoco.MjData(env.simulator.model)
        self.elapsed_s = 0.0
        self.physics_steps = 0
        self.largest_difference = 0.0
        """Largest difference of a coordinate between the environment and the repetition."""

    def remember(self) -> None:
        """Copy the cells; call before the environment's control step."""
        for env_id, data in enumerate(self._data):
            self._env.simulator.copy_data(env_id, data)

    def repeat(self) -> None:
        """Repeat, and time, the control step that the environment made since."""
        model = self._env.simulator.model
        for env_id, data in enumerate(self._data):
            after = self._env.simulator.copy_data(env_id, self._after)
            data.ctrl[:] = after.ctrl
            begun = time.perf_counter()
            mujoco.mj_step(model, data, self._env.simulator.physics_steps)
            self.elapsed_s += time.perf_counter() - begun
            self.physics_steps += self._env.simulator.physics_steps
            difference = float(np.abs(data.qpos - after.qpos).max())
            self.largest_difference = max(self.largest_difference, difference)
