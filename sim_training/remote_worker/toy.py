# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The point that must reach a goal: its arithmetic, and the smallest adapter (Python 3.8).

`sim_training.envs.toy` runs the same arithmetic inside the trainer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .service import StepResult, field, vector

if TYPE_CHECKING:
    from collections.abc import Mapping

ARENA_M = 0.5
"""Half the side of the arena."""


class PointTask:
    """Points that move towards their targets, vectorised (metres, arena frame)."""

    phase_names: tuple[str, ...] = ("start", "near", "reached")
    control_rate_hz = 10.0

    def __init__(
        self,
        n_envs: int,
        max_episode_steps: int,
        tolerance_m: float,
        max_step_m: float,
        terminate_on_success: bool,
    ) -> None:
        """Create n environments; call `reset` before stepping them."""
        self.n_envs = n_envs
        self.max_episode_steps = max_episode_steps
        self._tolerance_m, self._max_step_m = tolerance_m, max_step_m
        self._terminate_on_success = terminate_on_success
        self._point = np.zeros((n_envs, 2))
        self._goal = np.zeros((n_envs, 2))
        self._steps = np.zeros(n_envs, dtype=np.int64)
        self._phase = np.zeros(n_envs, dtype=np.int8)

    def reset(self, env_ids: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Place point and goal at random in the arena (metres)."""
        for env_id, seed in zip(env_ids.tolist(), seeds.tolist()):
            draw = np.random.default_rng(seed).uniform(-ARENA_M, ARENA_M, (2, 2))
            self._point[env_id], self._goal[env_id] = draw
        self._steps[env_ids] = 0
        self._phase[env_ids] = 0
        return self.observe()[env_ids]

    def advance(self, actions: np.ndarray, active: np.ndarray) -> StepResult:
        """Move the active points towards their targets (metres, arena frame)."""
        way = np.asarray(actions, dtype=np.float64) - self._point
        distance = np.linalg.norm(way, axis=1, keepdims=True)
        scale = np.minimum(1.0, self._max_step_m / np.maximum(distance, 1e-9))
        moved = np.clip(self._point + way * scale, -ARENA_M, ARENA_M)
        self._point = np.where(active[:, None], moved, self._point)
        self._steps += active
        error = np.linalg.norm(self._goal - self._point, axis=1)
        success = active & (error < self._tolerance_m)
        reached = np.where(success, 2, np.where(error < 0.15, 1, 0)).astype(np.int8)
        self._phase = np.where(active, np.maximum(self._phase, reached), self._phase)
        terminated = success & self._terminate_on_success
        truncated = active & ~terminated & (self._steps >= self.max_episode_steps)
        return StepResult(
            self.observe(),
            success.astype(np.float32),
            terminated,
            truncated,
            self._phase == 2,
            self._phase.copy(),
        )

    def render(self, env_id: int, height: int, width: int) -> np.ndarray:
        """Draw the arena: goal green, point red, (height, width, 3) uint8."""
        image = np.full((height, width, 3), 240, dtype=np.uint8)
        rows, columns = np.mgrid[0:height, 0:width]
        for place, colour in (
            (self._goal[env_id], (40, 160, 60)),
            (self._point[env_id], (200, 40, 40)),
        ):
            centre = (place / (2 * ARENA_M) + 0.5) * (width - 1, height - 1)
            near = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 < (0.04 * width) ** 2
            image[near] = colour
        return image

    def state_dict(self) -> dict[str, Any]:
        """Return the complete simulation state."""
        return {
            "point": self._point.copy(),
            "goal": self._goal.copy(),
            "steps": self._steps.copy(),
            "phase": self._phase.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._point = np.array(state["point"], dtype=np.float64)
        self._goal = np.array(state["goal"], dtype=np.float64)
        self._steps = np.array(state["steps"], dtype=np.int64)
        self._phase = np.array(state["phase"], dtype=np.int8)

    def close(self) -> None:
        """Nothing to release."""

    def observe(self) -> np.ndarray:
        """Return point and goal (n, 4), float32."""
        return np.concatenate([self._point, self._goal], axis=1).astype(np.float32)


class ToyWorker(PointTask):
    """`WorkerEnv` of the point task."""

    def __init__(self, settings: Mapping[str, Any], n_envs: int) -> None:
        """Create n environments from the settings of the task."""
        super().__init__(n_envs, **settings)
        self.description = {
            "name": "toy_reach",
            "observation": vector(
                field("point", "m", "arena", ("x", "y"), "where the point is"),
                field("goal", "m", "arena", ("x", "y"), "where it should go"),
            ),
            "action": vector(
                field("target", "m", "arena", ("x", "y"), "where the point shall move")
            ),
            "max_episode_steps": self.max_episode_steps,
            "control_rate_hz": self.control_rate_hz,
            "phase_names": list(self.phase_names),
            "simulator": {"name": "numpy", "version": np.__version__},
            "observation_range": [[-ARENA_M] * 4, [ARENA_M] * 4],
            "action_range": [[-ARENA_M] * 2, [ARENA_M] * 2],
        }

    def step(self, actions: np.ndarray, active: np.ndarray) -> StepResult:
        """Move the active points."""
        return self.advance(actions, active)


def make(settings: Mapping[str, Any], n_envs: int) -> ToyWorker:
    """Return the point task; settings are those of `ToyReachConfig`."""
    return ToyWorker(settings, n_envs)
