# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tasks that configurations may name already although no simulator here runs them yet.

Their sizes are known, so networks, data sets and training settings for them can be written,
imported and checked; making an environment says what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TaskSize:
    """Sizes of a task: observation, action, images, episode."""

    obs_dim: int
    action_dim: int
    max_episode_steps: int
    pixel_obs_dim: int = 0
    """Observation beside the images; 0: the task has no pixel variant."""
    cameras: int = 0


_KITCHEN = TaskSize(60, 9, 280)
_AVOIDING = TaskSize(4, 2, 100)

TASK_SIZES = {
    "kitchen_complete": _KITCHEN,
    "kitchen_mixed": _KITCHEN,
    "kitchen_partial": _KITCHEN,
    "lift": TaskSize(19, 7, 300, 9, 1),
    "can": TaskSize(23, 7, 300, 9, 1),
    "square": TaskSize(23, 7, 400, 9, 1),
    "transport": TaskSize(59, 14, 800, 18, 2),
    "avoiding_m1": _AVOIDING,
    "avoiding_m2": _AVOIDING,
    "avoiding_m3": _AVOIDING,
}
"""Task name -> sizes, as in the published data sets."""


@dataclass(frozen=True)
class _Announced:
    """What all of these tasks have in common."""

    @property
    def size(self) -> TaskSize:
        """Sizes of the chosen task."""
        return TASK_SIZES[self.name]  # type: ignore[attr-defined]

    @property
    def obs_dim(self) -> int:
        """Numbers in an observation, images not counted."""
        return self.size.obs_dim

    @property
    def action_dim(self) -> int:
        """Numbers in an action."""
        return self.size.action_dim

    @property
    def cameras(self) -> int:
        """Cameras of the chosen variant."""
        return 0

    @property
    def max_episode_steps(self) -> int:
        """Control steps after which an episode is truncated."""
        return self.size.max_episode_steps


@dataclass(frozen=True)
class KitchenConfig(_Announced):
    """Franka kitchen: up to four sub-tasks an episode."""

    name: Literal["kitchen_complete", "kitchen_mixed", "kitchen_partial"] = "kitchen_complete"
    """Which task, of those that go by these settings."""


@dataclass(frozen=True)
class AvoidingConfig(_Announced):
    """D3IL avoiding: reach the far side between the obstacles."""

    name: Literal["avoiding_m1", "avoiding_m2", "avoiding_m3"] = "avoiding_m1"
    """Which task, of those that go by these settings."""


MISSING = {
    KitchenConfig: "the Franka kitchen of the package gymnasium-robotics",
    AvoidingConfig: "the D3IL simulation (github.com/ALRhub/d3il)",
}
"""Configuration class -> what its adapter would need."""
