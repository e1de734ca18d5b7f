# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``one_leg`` from robot state and images, drawn off-screen by MuJoCo.

Images are drawn when a policy is about to look, and only those of cells that have moved. Shadows,
reflections and edge smoothing are off: without a graphics card they cost nine tenths of the time.

No torch, no rclpy.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import EnvironmentUnavailableError
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.pixel_config import ROBOT_OBSERVATION_SPEC, OneLegPixelsConfig
from sim_training.envs.furniture.task import CONTROL_RATE_HZ
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome

_ROBOT = ROBOT_OBSERVATION_SPEC.dim


class OneLegPixelsEnv:
    """`StepEnv` and `PixelEnv`: observation (n, 16), images (n, 3 views, h, h)."""

    name = "one_leg_pixels"
    control_rate_hz = CONTROL_RATE_HZ
    phase_names = ONE_LEG.phase_names
    observation_spec = ROBOT_OBSERVATION_SPEC

    def __init__(self, config: OneLegPixelsConfig, n_envs: int, threads: int = 1) -> None:
        """Create n cells; call `reset` before stepping them."""
        self.config = config
        self.n_envs = n_envs
        self.max_episode_steps = config.max_episode_steps
        self.cameras = len(config.views)
        self.image_size_px = config.image_size_px
        self._env = make_mujoco_env(config.task(), n_envs, threads)
        self.action_spec = self._env.action_spec
        size = config.image_size_px
        self._images = np.zeros((n_envs, 3 * self.cameras, size, size), dtype=np.uint8)
        self._moved = np.zeros(n_envs, dtype=bool)
        self._full = np.zeros((n_envs, self._env.observation_spec.dim), dtype=np.float32)
        self._renderer: mujoco.Renderer | None = None
        self._data: mujoco.MjData | None = None

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start episodes; returns the robot states (m, 16)."""
        self._full[env_ids] = self._env.reset(env_ids, seeds)
        self._moved[env_ids] = True
        return self._full[env_ids, :_ROBOT]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """One 0.1 s control step of the active cells; actions (n_envs, 10) in raw units.

        Raises:
            ActionError: wrong shape or non-finite action of an active cell.
        """
        outcome = self._env.step(actions, active)
        self._full = outcome.observation
        self._moved |= active
        return StepOutcome(
            self._full[:, :_ROBOT],
            outcome.reward,
            outcome.terminated,
            outcome.truncated,
            outcome.info,
        )

    def images(self) -> NDArray[np.uint8]:
        """Draw the cells that moved since the last call.

        Raises:
            EnvironmentUnavailableError: this machine cannot draw off-screen.
        """
        moved = np.flatnonzero(self._moved)
        # A cell whose physics blew up cannot be drawn; its last image stays and it ends anyway.
        for env_id in moved[self._env.simulator.is_finite(moved)]:
            self._draw(int(env_id))
        self._moved[:] = False
        return self._images

    def full_observation(self) -> Float32Array:
        """Return what the scripted expert needs: robot and part poses (n, 58)."""
        return self._full

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image of one cell for people."""
        return self._env.render(env_id, height, width)

    def close(self) -> None:
        """Release graphics."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        self._env.close()

    def _draw(self, env_id: int) -> None:
        self._data = self._env.simulator.copy_data(env_id, self._data)
        renderer = self._open()
        for index, view in enumerate(self.config.views):
            renderer.update_scene(self._data, view)
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                renderer.scene.flags[flag] = False
            channels = slice(3 * index, 3 * index + 3)
            self._images[env_id, channels] = renderer.render().transpose(2, 0, 1)

    def _open(self) -> mujoco.Renderer:
        if self._renderer is None:
            model, size = self._env.simulator.model, self.image_size_px
            samples = model.vis.quality.offsamples
            model.vis.quality.offsamples = 0
            try:
                self._renderer = mujoco.Renderer(model, size, size)
            except (RuntimeError, ImportError, mujoco.FatalError) as error:
                raise EnvironmentUnavailableError(
                    f"{self.name} cannot draw on this machine ({error}); it needs OpenGL without "
                    "a screen (EGL), see `dppo doctor`"
                ) from error
            finally:
                model.vis.quality.offsamples = samples
        return self._renderer
