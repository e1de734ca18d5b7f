# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A point that must reach a goal in the plane: the smallest task with the real task's shape.

Absolute position targets, raw units in metres, sparse reward, per-episode seeds and phases, as in
the furniture tasks, but thousands of times faster. Used by tests and by first experiments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome

ARENA_M = 0.5
"""Half the side of the arena."""


@dataclass(frozen=True)
class ToyReachConfig:
    """Point reaching a goal in a 1 m square."""

    name: Literal["toy_reach"] = "toy_reach"
    max_episode_steps: int = 40
    tolerance_m: float = 0.03
    """The goal counts as reached within this distance."""
    max_step_m: float = 0.06
    """How far the point moves towards its target in one control step."""
    terminate_on_success: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes that make the task impossible."""
        for name in ("max_episode_steps", "tolerance_m", "max_step_m"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be positive")


def _plane_field(name: str, description: str) -> Field:
    return Field(name, 2, "m", "arena", ("x", "y"), description)


class ToyReachEnv:
    """`StepEnv` of the point task, vectorised in NumPy."""

    name = "toy_reach"
    control_rate_hz = 10.0
    phase_names: tuple[str, ...] = ("start", "near", "reached")
    observation_spec = VectorSpec(
        (_plane_field("point", "where the point is"), _plane_field("goal", "where it should go"))
    )
    action_spec = VectorSpec((_plane_field("target", "where the point shall move"),))
    observation_range = np.array([[-ARENA_M] * 4, [ARENA_M] * 4])
    action_range = np.array([[-ARENA_M] * 2, [ARENA_M] * 2])

    def __init__(self, config: ToyReachConfig, n_envs: int) -> None:
        """Create n environments; call `reset` before stepping them."""
        self.config = config
        self.n_envs = n_envs
        self.max_episode_steps = config.max_episode_steps
        self._point = np.zeros((n_envs, 2))
        self._goal = np.zeros((n_envs, 2))
        self._steps = np.zeros(n_envs, dtype=np.int64)
        self._phase = np.zeros(n_envs, dtype=np.int8)

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Place point and goal at random in the arena (metres)."""
        for env_id, seed in zip(env_ids, seeds, strict=True):
            draw = np.random.default_rng(int(seed)).uniform(-ARENA_M, ARENA_M, (2, 2))
            self._point[env_id], self._goal[env_id] = draw
        self._steps[env_ids] = 0
        self._phase[env_ids] = 0
        return self.observe()[env_ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Move the active points towards their targets (metres, arena frame)."""
        way = np.asarray(actions, dtype=np.float64) - self._point
        distance = np.linalg.norm(way, axis=1, keepdims=True)
        scale = np.minimum(1.0, self.config.max_step_m / np.maximum(distance, 1e-9))
        moved = np.clip(self._point + way * scale, -ARENA_M, ARENA_M)
        self._point = np.where(active[:, None], moved, self._point)
        self._steps += active
        error = np.linalg.norm(self._goal - self._point, axis=1)
        success = active & (error < self.config.tolerance_m)
        reached = np.where(success, 2, np.where(error < 0.15, 1, 0)).astype(np.int8)
        self._phase = np.where(active, np.maximum(self._phase, reached), self._phase)
        terminated = success & self.config.terminate_on_success
        truncated = active & ~terminated & (self._steps >= self.max_episode_steps)
        info = {"success": self._phase == 2, "phase": self._phase.copy()}
        return StepOutcome(self.observe(), success.astype(np.float32), terminated, truncated, info)

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

    def observe(self) -> Float32Array:
        """Return point and goal (n, 4)."""
        return np.concatenate([self._point, self._goal], axis=1).astype(np.float32)


def scripted_action(
    observation: Float32Array, max_step_m: float, rng: np.random.Generator, noise_m: float
) -> Float32Array:
    """Return the demonstrator's targets (n, 2): one step straight to the goal, plus noise.

    Args:
        observation: (n, 4) raw observations.
        max_step_m: length of one step.
        rng: source of the noise.
        noise_m: standard deviation of the target noise; larger makes worse demonstrations.
    """
    point, goal = observation[:, :2], observation[:, 2:]
    way = goal - point
    distance = np.linalg.norm(way, axis=1, keepdims=True)
    step = way * np.minimum(1.0, max_step_m / np.maximum(distance, 1e-9))
    target = point + step + rng.normal(0.0, noise_m, point.shape)
    return np.clip(target, -ARENA_M, ARENA_M).astype(np.float32)
