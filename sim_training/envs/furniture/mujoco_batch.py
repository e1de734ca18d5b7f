# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``one_leg`` task on MuJoCo as a ``StepEnv``: reward, success and time limit per cell.

No torch, no rclpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ActionError
from dppo_ros.core.observation import (
    ONE_LEG_PARTS,
    assemble_observation,
    furniture_action_spec,
    furniture_observation_spec,
    split_action,
)
from sim_training.envs.furniture.scene import PhysicsOptions
from sim_training.envs.furniture.simulation import OneLegSimulation
from sim_training.envs.furniture.task import (
    ASSEMBLED,
    CONTROL_RATE_HZ,
    PHASE_NAMES,
    OneLegConfig,
    current_phase,
    sample_start,
)
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome


class OneLegEnv:
    """The ``one_leg`` task on MuJoCo, a ``StepEnv`` (see ``sim_training.envs.protocol``).

    Reward: +1 when leg 4 is first assembled. ``terminated`` on success (if configured) or when a
    cell's physics became non-finite; ``truncated`` at the time limit.
    """

    name = "one_leg"
    control_rate_hz = CONTROL_RATE_HZ
    phase_names = PHASE_NAMES

    def __init__(
        self,
        config: OneLegConfig,
        n_envs: int,
        threads: int = 1,
        options: PhysicsOptions | None = None,
    ) -> None:
        self.config = config
        self.n_envs = n_envs
        self.max_episode_steps = config.max_episode_steps
        self.observation_spec = furniture_observation_spec(ONE_LEG_PARTS)
        self.action_spec = furniture_action_spec()
        self.simulation = OneLegSimulation(n_envs, threads, options)
        step_s = self.simulation.options.timestep_s
        self.physics_steps = round(1.0 / (CONTROL_RATE_HZ * step_s))
        self._observation = np.zeros((n_envs, self.observation_spec.dim), dtype=np.float32)
        self._steps = np.zeros(n_envs, dtype=np.int64)
        self._phase = np.zeros(n_envs, dtype=np.int8)

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start episodes; returns the first raw observations (m, 58)."""
        ids = np.asarray(env_ids, dtype=np.int64)
        starts = [sample_start(self.config.randomness, int(seed)) for seed in seeds]
        self.simulation.reset(ids, starts)
        self._steps[ids] = 0
        self._phase[ids] = 0
        self._observe(ids)
        return self._observation[ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """One 0.1 s control step of the active cells; actions (n_envs, 10) in raw units.

        Raises:
            ActionError: wrong shape or non-finite action of an active cell.
        """
        ids = np.flatnonzero(active)
        if actions.shape != (self.n_envs, self.action_spec.dim):
            raise ActionError(
                f"actions have shape {actions.shape}, expected "
                f"({self.n_envs}, {self.action_spec.dim})"
            )
        chosen = np.clip(np.asarray(actions[ids], dtype=np.float64), -1.0, 1.0)
        if not np.isfinite(chosen).all():
            bad = ids[~np.isfinite(chosen).all(axis=-1)]
            raise ActionError(f"non-finite action for environments {bad.tolist()}")
        self.simulation.set_goal(ids, *split_action(chosen))
        self.simulation.advance(ids, self.physics_steps)
        return self._judge(ids)

    def _judge(self, ids: IntArray) -> StepOutcome:
        """Reward and endings after the physics of one control step."""
        was_done = self._phase[ids] == ASSEMBLED
        finite = self._observe(ids)
        self._steps[ids] += 1
        reward = np.zeros(self.n_envs, dtype=np.float32)
        success = self._phase == ASSEMBLED
        reward[ids] = success[ids] & ~was_done
        terminated = np.zeros(self.n_envs, dtype=bool)
        terminated[ids] = ~finite | (success[ids] & self.config.terminate_on_success)
        truncated = np.zeros(self.n_envs, dtype=bool)
        truncated[ids] = (self._steps[ids] >= self.max_episode_steps) & ~terminated[ids]
        return StepOutcome(
            observation=self._observation.copy(),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            info={"success": success, "phase": self._phase.copy()},
        )

    def _observe(self, ids: IntArray) -> BoolArray:
        """Refresh observation and progress of the given cells; returns which are finite."""
        robot = self.simulation.robot_state(ids)
        poses = self.simulation.part_poses(ids)
        finite = self.simulation.is_finite(ids)
        observation = assemble_observation(self.observation_spec, robot, poses)
        # A cell whose physics blew up keeps its last finite observation; it ends this step.
        self._observation[ids[finite]] = observation[finite]
        phase = current_phase(poses, robot.tool_position, robot.gripper_width)
        self._phase[ids[finite]] = np.maximum(self._phase[ids], phase)[finite]
        return finite

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image of one cell."""
        return self.simulation.render(env_id, height, width)

    def close(self) -> None:
        """Release graphics."""
        self.simulation.close()
