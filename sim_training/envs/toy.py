# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A point that must reach a goal in the plane: the smallest task with the real task's shape.

Absolute position targets, raw units in metres, sparse reward, per-episode seeds and phases, as in
the furniture tasks, but thousands of times faster. Used by tests and by first experiments.
Its arithmetic stands in `sim_training.remote_worker.toy`, so that a remote worker can run it too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.envs.protocol import BoolArray, Float32Array, StepOutcome
from sim_training.envs.worker_settings import WorkerSettings
from sim_training.remote_worker.toy import ARENA_M, PointTask


@dataclass(frozen=True)
class ToyReachConfig:
    """Point reaching a goal in a 1 m square."""

    name: Literal["toy_reach"] = "toy_reach"
    """Selects the task."""
    max_episode_steps: int = 40
    """Control steps after which an episode is truncated."""
    tolerance_m: float = 0.03
    """The goal counts as reached within this distance."""
    max_step_m: float = 0.06
    """How far the point moves towards its target in one control step."""
    terminate_on_success: bool = True
    """End the episode at the goal; false: it goes on to the limit."""
    remote: bool = False
    """Run the task in a worker process, through the protocol of remote simulators."""
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    """Of that process."""

    def __post_init__(self) -> None:
        """Refuse sizes that make the task impossible."""
        for name in ("max_episode_steps", "tolerance_m", "max_step_m"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be positive")

    def task_settings(self) -> dict[str, Any]:
        """Return the settings of the task itself, as its arithmetic takes them."""
        names = ("max_episode_steps", "tolerance_m", "max_step_m", "terminate_on_success")
        return {name: getattr(self, name) for name in names}


def _plane_field(name: str, description: str) -> Field:
    return Field(name, 2, "m", "arena", ("x", "y"), description)


class ToyReachEnv(PointTask):
    """`StepEnv` of the point task, vectorised in NumPy."""

    name = "toy_reach"
    observation_spec = VectorSpec(
        (_plane_field("point", "where the point is"), _plane_field("goal", "where it should go"))
    )
    action_spec = VectorSpec((_plane_field("target", "where the point shall move"),))
    observation_range = np.array([[-ARENA_M] * 4, [ARENA_M] * 4])
    action_range = np.array([[-ARENA_M] * 2, [ARENA_M] * 2])

    def __init__(self, config: ToyReachConfig, n_envs: int) -> None:
        """Create n environments; call `reset` before stepping them."""
        super().__init__(n_envs, **config.task_settings())
        self.config = config

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Move the active points towards their targets (metres, arena frame)."""
        result = self.advance(actions, active)
        info = {"success": result.success, "phase": result.phase}
        return StepOutcome(
            result.observation, result.reward, result.terminated, result.truncated, info
        )


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
