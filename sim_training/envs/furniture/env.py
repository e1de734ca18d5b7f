# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A furniture task on any simulator as a ``StepEnv``: observation, reward, success, time limit.

No torch, no rclpy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ActionError, ConfigError
from dppo_ros.core.observation import (
    assemble_observation,
    base_pose_from_tag,
    furniture_action_spec,
    furniture_observation_spec,
    split_action,
)
from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.pushes import PassingPushes
from sim_training.envs.furniture.simulator import CellSimulator
from sim_training.envs.furniture.starts import START_RANGES, sample_start
from sim_training.envs.furniture.task import CONTROL_RATE_HZ, CellStates, Progress
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome

SimulatorT = TypeVar("SimulatorT", bound=CellSimulator)


class FurnitureEnv(Generic[SimulatorT]):
    """A furniture task, a ``StepEnv`` (see ``sim_training.envs.protocol``).

    Reward: +1 when a pair of parts is first joined. ``terminated`` when all are (if configured);
    ``truncated`` at the time limit, and, with ``info["diverged"]``, where physics broke down.

    Args:
        config: the task and its settings.
        simulator: cells of that task.

    Raises:
        ConfigError: the simulator cannot do what the settings ask for.
    """

    def __init__(self, config: FurnitureConfig, simulator: SimulatorT) -> None:
        self.config = config
        self.task = config.task
        self.name = self.task.name
        self.phase_names = self.task.phase_names
        self.simulator = simulator
        self.n_envs = simulator.n_envs
        self.max_episode_steps = config.episode_steps
        self.control_rate_hz = config.control_rate_hz
        _check(config, simulator)
        self.observation_spec = furniture_observation_spec(self.task.parts)
        self.action_spec = furniture_action_spec()
        self._observation = np.zeros((self.n_envs, self.observation_spec.dim), dtype=np.float32)
        self._steps = np.zeros(self.n_envs, dtype=np.int64)
        self._progress = Progress(self.task, self.n_envs)
        self._held = np.zeros(self.n_envs, dtype=bool)
        self._held_poses = np.zeros((self.n_envs, 7))
        self._tool_position = np.zeros((self.n_envs, 3))
        self._base_height_m = np.zeros(self.n_envs)
        level = START_RANGES[config.randomness]
        self._pushes = PassingPushes(self.task, level, config.randomisation, self.n_envs)

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start episodes; returns the first raw observations (m, Do)."""
        ids = np.asarray(env_ids, dtype=np.int64)
        config = self.config
        starts = [
            sample_start(
                self.task, config.randomness, int(seed), config.starts, config.randomisation
            )
            for seed in seeds
        ]
        self._base_height_m[ids] = [start.properties.base_height_m for start in starts]
        self._pushes.restart(ids, seeds)
        self.simulator.reset(ids, starts)
        self._steps[ids] = 0
        self._progress.restart(ids)
        states = self.simulator.observe(ids)
        if self.task.held is not None:
            self._held[ids] = True
            self._held_poses[ids] = states.tag_from_part[self.task.held.name]
        self._take_in(ids, states)
        return self._observation[ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """One control step of the active cells; actions (n_envs, 10) in raw units.

        Raises:
            ActionError: wrong shape or non-finite action of an active cell.
        """
        ids = np.flatnonzero(active)
        goal = self._goal(actions, ids)
        self._hold(ids)
        self.simulator.control_step(ids, *goal, self._pushes.draw(ids))
        return self._judge(ids, self.simulator.observe(ids))

    def _goal(
        self, actions: Float32Array, ids: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        if actions.shape != (self.n_envs, self.action_spec.dim):
            raise ActionError(
                f"actions have shape {actions.shape}, expected "
                f"({self.n_envs}, {self.action_spec.dim})"
            )
        chosen = np.clip(np.asarray(actions[ids], dtype=np.float64), -1.0, 1.0)
        if not np.isfinite(chosen).all():
            bad = ids[~np.isfinite(chosen).all(axis=-1)]
            raise ActionError(f"non-finite action for environments {bad.tolist()}")
        return split_action(chosen)

    def _hold(self, ids: IntArray) -> None:
        """Put a held part back to its place, or let it go for good."""
        self._let_go(ids)
        still = ids[self._held[ids]]
        if self.task.held is not None and len(still):
            self.simulator.place_part(still, self.task.held.name, self._held_poses[still])

    def _let_go(self, ids: IntArray) -> None:
        """Note in which cells the part is no longer held."""
        held = self.task.held
        if held is None or not self._held[ids].any():
            return
        place, _ = base_pose_from_tag(self._held_poses[ids])
        away = np.abs(self._tool_position[ids] - place).max(axis=-1)
        until_step = held.until_step * self.control_rate_hz / CONTROL_RATE_HZ
        self._held[ids] &= (away > held.reach_m) & (self._steps[ids] < until_step)

    def _judge(self, ids: IntArray, states: CellStates) -> StepOutcome:
        """Reward and endings after the physics of one control step."""
        self._steps[ids] += 1
        reward = np.zeros(self.n_envs, dtype=np.float32)
        reward[ids] = self._take_in(ids, states)
        success = self._progress.success
        diverged, terminated, truncated = np.zeros((3, self.n_envs), dtype=bool)
        diverged[ids] = ~states.finite
        terminated[ids] = states.finite & success[ids] & self.config.terminate_on_success
        ends = ~states.finite | (self._steps[ids] >= self.max_episode_steps)
        truncated[ids] = ends & ~terminated[ids]
        return StepOutcome(
            observation=self._observation.copy(),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            info={
                "success": success,
                "phase": self._progress.phase.copy(),
                "diverged": diverged,
            },
        )

    def _take_in(self, ids: IntArray, states: CellStates) -> Float32Array:
        """Refresh observation and progress of the given cells; returns their rewards."""
        observation = assemble_observation(
            self.observation_spec, states.robot, states.tag_from_part
        )
        # A cell whose physics blew up keeps its last finite observation; it ends this step.
        finite = states.finite
        self._observation[ids[finite]] = observation[finite]
        # Progress is judged where the parts are: above the table, not above the robot's base.
        robot = replace(states.robot, tool_position=states.robot.tool_position.copy())
        robot.tool_position[:, 2] += self._base_height_m[ids]
        self._tool_position[ids[finite]] = robot.tool_position[finite]
        return self._progress.update(ids, replace(states, robot=robot))

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image of one cell."""
        return self.simulator.render(env_id, height, width)

    def close(self) -> None:
        """Release the simulator."""
        self.simulator.close()


def _check(config: FurnitureConfig, simulator: CellSimulator) -> None:
    """Refuse settings that a simulator would silently ignore."""
    rate = simulator.control_rate_hz
    if rate != config.control_rate_hz:
        raise ConfigError(
            f"control_rate_hz is {config.control_rate_hz:g} but simulator {config.simulator!r} "
            f"runs at {rate:g}; use that, or simulator mujoco"
        )
    if config.randomisation.physics and not simulator.randomises_physics:
        raise ConfigError(
            f"simulator {config.simulator!r} cannot change friction, masses, gains or the height "
            "of the robot; switch friction, mass, gains and base_height off, or use simulator "
            "mujoco"
        )
