# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hopper, Walker2d and HalfCheetah: EnvPool's C++ threads behind the `StepEnv` protocol.

Version v4 of the tasks, not v5: the D4RL data sets and the DPPO paper use the dynamics and rewards
of v2, which v4 keeps (v5 changes the walker's foot friction and the reward of the last step).

EnvPool takes seeds only when it is built and has no access to the simulation state. Both are made
up for here without giving up its speed:

* *Starts*: every episode begins in the model's rest pose, without EnvPool's own noise, and a few
  control steps of random torque, drawn from the episode's seed, lead from there to its start. They
  count neither as steps nor as reward. So a seed gives the same start in any environment.
* *Saving*: the simulation is deterministic, so a state is stored as seed and past actions and
  restored by repeating them.

The time limit is applied here, never by EnvPool, and reported as truncation only. Actions beyond
[-1, 1] are clipped before they are applied and before their cost is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import envpool
import numpy as np
from numpy.typing import NDArray

from sim_training.envs.locomotion_config import LocomotionConfig
from sim_training.envs.locomotion_view import RunnerView
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome

_MILESTONES_M = (1.0, 3.0, 10.0)
_START_STREAM = 7
"""Keeps the start's random numbers apart from other uses of an episode's seed."""


class LocomotionEnv:
    """`StepEnv`, `SavableEnv` and `NominalEnv` of the three locomotion tasks.

    Phases are distances travelled; success is a return of at least `config.success_return`.
    """

    phase_names: tuple[str, ...] = ("start", *(f"travelled_{m:.0f}_m" for m in _MILESTONES_M))

    def __init__(self, config: LocomotionConfig, n_envs: int, threads: int = 1) -> None:
        """Create n environments; call `reset` before stepping them.

        Args:
            config: the task.
            n_envs: number of parallel environments.
            threads: simulation threads.
        """
        self.config = config
        self.name: str = config.name  # type: ignore[attr-defined]
        self.n_envs = n_envs
        self.observation_spec = config.observation_spec
        self.action_spec = config.action_spec
        self.observation_range = config.observation_range
        self.action_range = np.array([[-1.0], [1.0]]) * np.ones(self.action_spec.dim)
        self.max_episode_steps = config.max_episode_steps
        self.control_rate_hz = config.control_rate_hz
        self._pool = envpool.make_gymnasium(
            config.simulator_id,
            num_envs=n_envs,
            num_threads=max(1, min(threads, n_envs)),
            # One more than this environment ever asks for: its own time limit comes first.
            max_episode_steps=config.max_episode_steps + config.start_steps + 1,
            reset_noise_scale=0.0,
        )
        self._pool.reset()
        n, actions = n_envs, self.action_spec.dim
        self._observation = np.zeros((n, self.observation_spec.dim), dtype=np.float32)
        self._past = np.zeros((n, config.max_episode_steps, actions), dtype=np.float32)
        self._seed = np.zeros(n, dtype=np.int64)
        self._steps = np.zeros(n, dtype=np.int64)
        self._return = np.zeros(n, dtype=np.float64)
        self._start_x_m = np.zeros(n, dtype=np.float64)
        self._x_m = np.zeros(n, dtype=np.float64)
        self._phase = np.zeros(n, dtype=np.int8)
        self._over = np.ones(n, dtype=bool)
        self._view: RunnerView | None = None

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start episodes from the rest pose, shaken by torques drawn from their seeds."""
        ids = np.asarray(env_ids, dtype=np.int64)
        if not len(ids):
            return self._observation[ids]
        observation, info = self._pool.reset(ids.astype(np.int32))
        place = np.argsort(info["env_id"])[np.argsort(np.argsort(ids))]
        observation, x_m = observation[place], info["x_position"][place]
        for torque in self._start_torques(seeds):
            observation, _, _, x_m = self._advance(ids, torque)
        self._seed[ids] = seeds
        self._steps[ids] = 0
        self._return[ids] = 0.0
        self._phase[ids] = 0
        self._over[ids] = False
        self._start_x_m[ids] = x_m
        self._x_m[ids] = x_m
        self._observation[ids] = observation
        return self._observation[ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Apply torques (shares in [-1, 1], clipped); an episode that is over stays as it is."""
        n = self.n_envs
        reward = np.zeros(n, dtype=np.float32)
        terminated, truncated = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        ids = np.flatnonzero(active & ~self._over)
        if len(ids):
            torque = np.clip(actions[ids], -1.0, 1.0).astype(np.float32, copy=False)
            observation, gained, fell, x_m = self._advance(ids, torque)
            self._past[ids, self._steps[ids]] = torque
            self._steps[ids] += 1
            self._return[ids] += gained
            self._observation[ids] = observation
            self._x_m[ids] = x_m
            reward[ids] = gained
            terminated[ids] = fell
            truncated[ids] = ~fell & (self._steps[ids] >= self.max_episode_steps)
            travelled = np.searchsorted(_MILESTONES_M, x_m - self._start_x_m[ids], side="right")
            self._phase[ids] = np.maximum(self._phase[ids], travelled)
            self._over |= terminated | truncated
        info = {
            "success": self._return >= self.config.success_return,
            "phase": self._phase.copy(),
        }
        return StepOutcome(self._observation.copy(), reward, terminated, truncated, info)

    def state_dict(self) -> dict[str, Any]:
        """Return seeds and past actions, from which the simulation follows."""
        longest = int(self._steps.max(initial=0))
        return {
            "seed": self._seed.copy(),
            "steps": self._steps.copy(),
            "over": self._over.copy(),
            "past_actions": self._past[:, :longest].copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Repeat the saved episodes up to where they were."""
        steps = np.asarray(state["steps"], dtype=np.int64)
        past = np.asarray(state["past_actions"], dtype=np.float32)
        self.reset(np.arange(self.n_envs), np.asarray(state["seed"], dtype=np.int64))
        for index in range(past.shape[1]):
            self.step(past[:, index], steps > index)
        self._over[:] = state["over"]

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """Draw one runner from the side, (height, width, 3).

        Raises:
            EnvironmentUnavailableError: the model cannot be found or drawn.
        """
        if self._view is None or self._view.size != (height, width):
            if self._view is not None:
                self._view.close()
            self._view = RunnerView(self.name, height, width)
        return self._view.draw(self._x_m[env_id], self._observation[env_id])

    def close(self) -> None:
        """Release the simulation threads and graphics."""
        if self._view is not None:
            self._view.close()
            self._view = None
        self._pool.close()

    def _start_torques(self, seeds: IntArray) -> NDArray[np.float32]:
        """Return (start_steps, m, A) random torques, each environment's from its own seed."""
        shape = (self.config.start_steps, self.action_spec.dim)
        limit = self.config.start_torque
        drawn = [
            np.random.default_rng([int(seed), _START_STREAM]).uniform(-limit, limit, shape)
            for seed in seeds
        ]
        return np.stack(drawn, axis=1).astype(np.float32)

    def _advance(
        self, ids: IntArray, torque: NDArray[np.float32]
    ) -> tuple[NDArray[Any], NDArray[Any], BoolArray, NDArray[Any]]:
        """Return observation, reward, fallen and position along the track, ordered as `ids`."""
        observation, reward, fallen, _, info = self._pool.step(torque, ids.astype(np.int32))
        place = np.argsort(info["env_id"])[np.argsort(np.argsort(ids))]
        return (
            observation[place],
            np.asarray(reward[place]).reshape(len(ids)),
            np.asarray(fallen[place], dtype=bool),
            np.asarray(info["x_position"][place]).reshape(len(ids)),
        )
