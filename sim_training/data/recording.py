# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of running demonstrations, cut into clean trajectories, and what they came to.

NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import furniture_observation_spec

_SPEC = furniture_observation_spec()
_POSITION = _SPEC.slice("tool_position")
_LINEAR = _SPEC.slice("tool_linear_velocity")
_ANGULAR = _SPEC.slice("tool_angular_velocity")
_CELL_M = np.array([[0.20, -0.45, -0.01], [0.80, 0.45, 0.45]])
_CALM_M_S = 1.0
_CALM_RAD_S = 4.0
"""A demonstration that leaves the cell or exceeds these speeds is not kept."""


@dataclass
class Recording:
    """Frames of one running episode, cut into trajectories at disturbances."""

    seed: int
    states: list[list[NDArray[np.float32]]]
    actions: list[list[NDArray[np.float32]]]
    steps: int = 0

    def add(
        self, observation: NDArray[np.float32], action: NDArray[np.float32], disturbed: bool
    ) -> None:
        """Keep the expert's frame, or cut where something else was executed.

        Args:
            observation: (Do,) raw.
            action: (A,) of the expert, raw.
            disturbed: whether another action was executed.
        """
        self.steps += 1
        if not disturbed:
            self.states[-1].append(observation.copy())
            self.actions[-1].append(action.copy())
        elif self.states[-1]:
            self.states.append([])
            self.actions.append([])

    def is_calm(self) -> bool:
        """No frame is faster than an arm should be or outside the work cell."""
        frames = [state for part in self.states for state in part]
        if not frames:
            return False
        states = np.stack(frames)
        speed = np.linalg.norm(states[:, _LINEAR], axis=-1)
        rate = np.linalg.norm(states[:, _ANGULAR], axis=-1)
        inside = np.all((states[:, _POSITION] > _CELL_M[0]) & (states[:, _POSITION] < _CELL_M[1]))
        return bool(inside and speed.max() < _CALM_M_S and rate.max() < _CALM_RAD_S)


@dataclass(frozen=True)
class FinishedEpisode:
    """Outcome of one episode."""

    seed: int
    success: bool
    steps: int
    phase: int
    recording: Recording
