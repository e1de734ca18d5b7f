# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings and layout of ``one_leg`` seen through cameras (no simulator)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.spec import VectorSpec
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.tasks import FurnitureConfig

View = Literal["front", "side"]

ROBOT_OBSERVATION_SPEC = VectorSpec(furniture_observation_spec(()).fields[:-1])
"""The 16 robot numbers; where the parts lie is in the images only."""


@dataclass(frozen=True)
class OneLegPixelsConfig:
    """``one_leg`` from robot state and images; drawing costs about 10 ms each on one core."""

    name: Literal["one_leg_pixels"] = "one_leg_pixels"
    """Selects the task."""
    randomness: Literal["low", "med"] = "low"
    """Level of the start states."""
    max_episode_steps: int = ONE_LEG.max_episode_steps
    """Control steps after which an episode is truncated."""
    terminate_on_success: bool = True
    """End the episode when assembled."""
    views: tuple[View, ...] = ("front",)
    """Cameras, in the order of their channels; policies take one or two."""
    image_size_px: int = 96
    """Height and width of the images."""

    def __post_init__(self) -> None:
        """Refuse views and sizes that cannot be drawn.

        Raises:
            ConfigError: a value is out of range.
        """
        if not 1 <= len(self.views) <= 2 or len(set(self.views)) != len(self.views):
            raise ConfigError(
                f"views is {list(self.views)}; choose front, side, or both, each at most once"
            )
        if not 16 <= self.image_size_px <= 480 or self.image_size_px % 8:
            raise ConfigError(
                f"image_size_px is {self.image_size_px}; it must be a multiple of 8 from 16 to 480"
            )
        self.task()

    def task(self) -> FurnitureConfig:
        """Return the settings of the task without cameras."""
        return FurnitureConfig(
            randomness=self.randomness,
            max_episode_steps=self.max_episode_steps,
            terminate_on_success=self.terminate_on_success,
        )
