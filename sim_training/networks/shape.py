# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes that a policy, its critic and its storage agree on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PolicyShape:
    """Sizes of a policy: Do, A, To, H, how many actions are executed, and its images.

    Attributes:
        obs_dim: Do, size of one state observation.
        action_dim: A.
        cond_steps: To, stacked state observations.
        horizon_steps: H, actions in a predicted chunk.
        act_steps: how many of them are executed.
        cameras: images per observation; 0 for policies that see the state only.
        image_size_px: height and width of each image.
        img_cond_steps: stacked images, newest last; at most To.
    """

    obs_dim: int
    action_dim: int
    cond_steps: int
    horizon_steps: int
    act_steps: int
    cameras: int = 0
    image_size_px: int = 0
    img_cond_steps: int = 1

    @property
    def image_shape(self) -> tuple[int, int, int, int]:
        """(Ti, C, h, w) of the "rgb" observation, C = 3 per camera."""
        size = self.image_size_px
        return self.img_cond_steps, 3 * self.cameras, size, size
