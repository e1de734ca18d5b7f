# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The point task seen through a camera: the goal is visible in the image only.

The state holds just the point, so a policy that ignores the picture cannot do better than chance.
Drawn in NumPy, all environments at once: fifty arenas in about three milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.spec import VectorSpec
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv
from sim_training.remote_worker.toy import ARENA_M

_PAPER, _POINT, _GOAL = (
    np.array(colour, dtype=np.float32).reshape(3, 1, 1)
    for colour in ((240, 240, 240), (200, 40, 40), (40, 160, 60))
)
_RADIUS_M = 0.06
_STATE = 2
"""The first two numbers of the full observation: the point."""


@dataclass(frozen=True)
class ToyReachPixelsConfig:
    """Point reaching a goal that only the camera shows."""

    name: Literal["toy_reach_pixels"] = "toy_reach_pixels"
    """Selects the task."""
    max_episode_steps: int = 40
    """Control steps after which an episode is truncated."""
    tolerance_m: float = 0.05
    """The goal counts as reached within this distance; a pixel of 48 covers 2 cm."""
    max_step_m: float = 0.06
    """How far the point moves towards its target in one control step."""
    terminate_on_success: bool = True
    """End the episode at the goal; false: it goes on to the limit."""
    image_size_px: int = 48
    """Height and width of the images."""

    def __post_init__(self) -> None:
        """Refuse images too small to show anything.

        Raises:
            ConfigError: a size is out of range.
        """
        if self.image_size_px < 8 or self.image_size_px % 8:
            raise ConfigError(
                f"image_size_px is {self.image_size_px}; it must be a positive multiple of 8"
            )
        self.task()

    def task(self) -> ToyReachConfig:
        """Return the settings of the task without the camera."""
        return ToyReachConfig(
            max_episode_steps=self.max_episode_steps,
            tolerance_m=self.tolerance_m,
            max_step_m=self.max_step_m,
            terminate_on_success=self.terminate_on_success,
        )


class ToyReachPixelsEnv:
    """`StepEnv` and `PixelEnv` of the point task; state (n, 2), images (n, 3, h, h)."""

    name = "toy_reach_pixels"
    control_rate_hz = ToyReachEnv.control_rate_hz
    phase_names = ToyReachEnv.phase_names
    observation_spec = VectorSpec(ToyReachEnv.observation_spec.fields[:1])
    action_spec = ToyReachEnv.action_spec
    cameras = 1

    def __init__(self, config: ToyReachPixelsConfig, n_envs: int) -> None:
        """Create n environments; call `reset` before stepping them."""
        self.config = config
        self.n_envs = n_envs
        self.max_episode_steps = config.max_episode_steps
        self.image_size_px = config.image_size_px
        self._env = ToyReachEnv(config.task(), n_envs)

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Place point and goal at random; returns the points (m, 2)."""
        return self._env.reset(env_ids, seeds)[:, :_STATE]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Move the active points towards their targets (metres, arena frame)."""
        full = self._env.step(actions, active)
        return StepOutcome(
            full.observation[:, :_STATE], full.reward, full.terminated, full.truncated, full.info
        )

    def images(self) -> NDArray[np.uint8]:
        """Draw every arena."""
        return draw_arenas(self._env.observe(), self.image_size_px)

    def full_observation(self) -> Float32Array:
        """Return what the scripted demonstrator needs: point and goal (n, 4)."""
        return self._env.observe()

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """Draw one arena for people, (height, width, 3)."""
        return self._env.render(env_id, height, width)

    def state_dict(self) -> dict[str, Any]:
        """Return the complete simulation state."""
        return self._env.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._env.load_state_dict(state)

    def close(self) -> None:
        """Nothing to release."""


def draw_arenas(observation: Float32Array, size_px: int) -> NDArray[np.uint8]:
    """Return images (n, 3, size_px, size_px) of arenas: goal green, point red in front of it.

    Disc edges are blended, so that the picture tells the place to a fraction of a pixel.

    Args:
        observation: (n, 4) point and goal, metres.
        size_px: height and width; columns are x, rows are y downwards.
    """
    pixels = np.arange(size_px, dtype=np.float32)
    places = (observation.astype(np.float32) / (2 * ARENA_M) + 0.5) * (size_px - 1)
    radius = _RADIUS_M / (2 * ARENA_M) * (size_px - 1)
    image = np.broadcast_to(_PAPER, (len(observation), 3, size_px, size_px))
    for place, colour in ((places[:, 2:], _GOAL), (places[:, :2], _POINT)):
        across = (pixels - place[:, :1]) ** 2
        down = (pixels - place[:, 1:]) ** 2
        distance = np.sqrt(across[:, None, :] + down[:, :, None])
        share = np.clip(radius - distance + 0.5, 0.0, 1.0)[:, None]
        image = image + share * (colour - image)
    return np.asarray(image + 0.5, dtype=np.uint8)
