# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last images of every environment, as pixel policies see them (NumPy only).

Legend: n_envs environments, Ti stacked images (`img_cond_steps`), C = 3 per camera, h = w pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from sim_training.envs.protocol import BoolArray, IntArray, PixelEnv, StepEnv


class ImageHistory:
    """Stacks the images of a `PixelEnv`, newest last; an episode begins with its first one."""

    def __init__(self, env: PixelEnv, n_envs: int, img_cond_steps: int) -> None:
        """Prepare an empty history.

        Args:
            env: source of the images.
            n_envs: environments.
            img_cond_steps: Ti.
        """
        self._env = env
        self.img_cond_steps = img_cond_steps
        size = env.image_size_px
        self._images = np.zeros((n_envs, img_cond_steps, 3 * env.cameras, size, size), np.uint8)

    def start(self, env_ids: IntArray) -> None:
        """Fill the history of new episodes with their first image."""
        self._images[env_ids] = self._env.images()[env_ids][:, None]

    def push(self, moved: BoolArray) -> None:
        """Append the present image of the environments (n_envs,) that moved."""
        if not moved.any():
            return
        shifted = self._images[moved]
        shifted[:, :-1] = shifted[:, 1:]
        shifted[:, -1] = self._env.images()[moved]
        self._images[moved] = shifted

    def observe(self) -> NDArray[np.uint8]:
        """Return a copy of the history (n_envs, Ti, C, h, w)."""
        return self._images.copy()

    def state_dict(self) -> dict[str, Any]:
        """Return the images."""
        return {"images": self._images.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._images[:] = state["images"]


def pixel_source(env: StepEnv, cameras: int, image_size_px: int) -> PixelEnv:
    """Return the environment as a source of the images that a policy expects.

    Raises:
        ConfigError: it gives no images, or others.
    """
    # Attributes instead of isinstance: wrappers that forward them count as well.
    found = (getattr(env, "cameras", 0), getattr(env, "image_size_px", 0))
    if found != (cameras, image_size_px):
        raise ConfigError(
            f"the policy needs {cameras} camera(s) of {image_size_px} pixels but task "
            f"{env.name!r} has {found[0]} of {found[1]}; use the task the policy was trained on"
        )
    return env  # type: ignore[return-value]
