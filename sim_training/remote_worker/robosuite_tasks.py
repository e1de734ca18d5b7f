# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Adapter for robosuite 1.5.2: the tasks of robomimic from states (Python 3.8 syntax).

Operational-space control with pose deltas at 20 Hz, sparse reward: 1 for each control step in which
the task is done. As in the published experiments the model is built once for each environment, so
that the cube of Lift keeps its size; the episode's seed decides everything else.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import robosuite

from .robosuite_layout import CONTROL_RATE_HZ, PHASE_NAMES, TASKS
from .service import StepResult, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODEL_SEED = 0
_DONE = len(PHASE_NAMES) - 1
_CONTROLLER = {
    "type": "BASIC",
    "body_parts": {
        "right": {
            "type": "OSC_POSE",
            "input_max": 1,
            "input_min": -1,
            "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
            "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5],
            "kp": 150,
            "damping_ratio": 1,
            "impedance_mode": "fixed",
            "kp_limits": [0, 300],
            "damping_ratio_limits": [0, 10],
            "position_limits": None,
            "orientation_limits": None,
            "uncouple_pos_ori": True,
            "input_type": "delta",
            "input_ref_frame": "base",
            "interpolation": None,
            "ramp_ratio": 0.2,
            "gripper": {"type": "GRIP"},
        }
    },
}


class RobosuiteWorker:
    """`WorkerEnv` of one robosuite task: several simulations, stepped one after the other."""

    def __init__(
        self, task: str, max_episode_steps: int, terminate_on_success: bool, n_envs: int
    ) -> None:
        """Build n models.

        Raises:
            ValueError: robosuite offers other numbers of observations or actions.
        """
        logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
        self._task = TASKS[task]
        self._max_episode_steps = max_episode_steps
        self._terminate_on_success = terminate_on_success
        self._envs = [_make_environment(task) for _ in range(n_envs)]
        self._renderer: Any = None
        self._steps = np.zeros(n_envs, dtype=np.int64)
        self._phase = np.zeros(n_envs, dtype=np.int8)
        layout = self._task.observation()
        self._observation = np.zeros((n_envs, size_of(layout)), dtype=np.float32)
        self.description: dict[str, Any] = {
            "name": task,
            "observation": layout,
            "action": self._task.action(),
            "max_episode_steps": max_episode_steps,
            "control_rate_hz": CONTROL_RATE_HZ,
            "phase_names": list(PHASE_NAMES),
            "simulator": {"name": "robosuite", "version": robosuite.__version__},
        }
        if self._envs[0].action_dim != size_of(self.description["action"]):
            raise ValueError(f"robosuite takes {self._envs[0].action_dim} actions in {task}")
        # The first step compiles the controller, which the time limit of a step need not cover.
        self._envs[0].reset()
        self._envs[0].step(np.zeros(self._envs[0].action_dim))

    def reset(self, env_ids: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Start episodes; a seed decides where objects lie and how the arm starts."""
        for env_id, seed in zip(env_ids.tolist(), seeds.tolist()):
            env = self._envs[env_id]
            # The samplers of objects and of the arm's noise all hold this generator.
            env.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
            self._observation[env_id] = self._numbers(env.reset())
        self._steps[env_ids] = 0
        self._phase[env_ids] = 0
        return self._observation[env_ids]

    def step(self, actions: np.ndarray, active: np.ndarray) -> StepResult:
        """Advance the active simulations by 0.05 s."""
        n_envs = len(self._envs)
        reward = np.zeros(n_envs, dtype=np.float32)
        done = np.zeros(n_envs, dtype=bool)
        for index in np.flatnonzero(active).tolist():
            env = self._envs[index]
            action = np.clip(actions[index].astype(np.float64), -1.0, 1.0)
            seen, reward[index], _, _ = env.step(action)
            self._observation[index] = self._numbers(seen)
            done[index] = bool(env._check_success())
            self._phase[index] = max(self._phase[index], self._progress(index, bool(done[index])))
        self._steps += active
        terminated = done & self._terminate_on_success
        truncated = active & ~terminated & (self._steps >= self._max_episode_steps)
        return StepResult(
            self._observation.copy(),
            reward,
            terminated,
            truncated,
            self._phase == _DONE,
            self._phase.copy(),
        )

    def render(self, env_id: int, height: int, width: int) -> np.ndarray:
        """Draw one simulation from the front, (height, width, 3) uint8."""
        import mujoco

        simulation = self._envs[env_id].sim
        model, state = simulation.model._model, simulation.data._data
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, height)
        option = mujoco.MjvOption()
        option.geomgroup[0] = 0  # what collides; group 1 is what is seen
        with mujoco.Renderer(model, height, width) as renderer:
            renderer.update_scene(state, camera="frontview", scene_option=option)
            return renderer.render()

    def close(self) -> None:
        """Release the simulations."""
        for env in self._envs:
            env.close()

    def _numbers(self, seen: Mapping[str, Any]) -> np.ndarray:
        return np.concatenate(
            [source.sign * np.atleast_1d(seen[source.key]) for source in self._task.sources]
        )

    def _progress(self, index: int, done: bool) -> int:
        """Return the phase: done, grasped, near, or the start."""
        if done:
            return _DONE
        env = self._envs[index]
        target = _target(env)
        robot = env.robots[0]
        if env._check_grasp(gripper=robot.gripper, object_geoms=target):
            return 2
        place = env.sim.data.get_body_xpos(target.root_body)
        tool = self._observation[index, :3]
        return int(np.linalg.norm(place - tool) < self._task.near_m)


def make(settings: Mapping[str, Any], n_envs: int) -> RobosuiteWorker:
    """Return a task: settings "task", "max_episode_steps", "terminate_on_success".

    Raises:
        ValueError: unknown task.
    """
    if settings["task"] not in TASKS:
        raise ValueError(f"unknown task {settings['task']!r}; known: {', '.join(TASKS)}")
    return RobosuiteWorker(n_envs=n_envs, **settings)


def _make_environment(task: str) -> Any:  # noqa: ANN401  (robosuite has no types)
    chosen = TASKS[task]
    env = robosuite.make(
        chosen.environment,
        robots=["Panda"] * chosen.robots,
        controller_configs=[_CONTROLLER] * chosen.robots,
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        use_object_obs=True,
        reward_shaping=False,
        control_freq=CONTROL_RATE_HZ,
        ignore_done=True,
        hard_reset=False,
        seed=_MODEL_SEED,
    )
    wanted = {source.key for source in chosen.sources} | {"world_pose_in_gripper"}
    for name in list(env.observation_names):
        if not (name in wanted or "eef" in name):  # relative poses are computed from these
            env.modify_observable(name, "enabled", False)
            env.modify_observable(name, "active", False)
    return env


def _target(env: Any) -> Any:  # noqa: ANN401
    """Return the object that the first robot has to grasp."""
    if hasattr(env, "cube"):
        return env.cube
    if hasattr(env, "transport"):
        return env.transport.payload
    if hasattr(env, "nuts"):
        return env.nuts[env.nut_id]
    return env.objects[env.object_id]
