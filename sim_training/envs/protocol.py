# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The only contract between training and simulators (NumPy only, never torch or rclpy).

Two layers, both vectorised over `n_envs` environments:

* `StepEnv`: one simulator or task. Raw units, one control step at a time, no automatic reset.
* `VectorEnv`: what the algorithms see. Normalised units, one action *chunk* at a time, automatic
  reset in same-step mode: when an episode ends inside a chunk the returned observation already
  belongs to the next episode and `final_observation` holds the true last one.

Time limits are reported as `truncated`, task outcomes as `terminated`; the two are never merged.

Legend: n_envs environments, Do observation dimension, A action dimension, To stacked
observations (`cond_steps`), h executed actions per chunk (`act_steps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dppo_ros.core.spec import VectorSpec

Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Observation = dict[str, NDArray[Any]]
"""What a policy sees, newest entry last: "state" (n_envs, To, Do) float32, normalised and clipped;
for pixel policies also "rgb" (n_envs, Ti, C, h, w) uint8, three channels per camera."""


@dataclass(frozen=True)
class StepOutcome:
    """What one control step returned. Rows of inactive environments repeat old values.

    Attributes:
        observation: (n_envs, Do) float32, raw units.
        reward: (n_envs,) float32.
        terminated: (n_envs,) the task ended (success or failure).
        truncated: (n_envs,) the time limit was reached.
        info: per-environment arrays (n_envs,): always "success" (bool) and "phase" (int8, the
            furthest phase of `StepEnv.phase_names` reached so far in the episode). Where it can
            happen also "lost" (bool: a simulator in a process of its own failed and took the
            episode with it, which `truncated` ends) and "diverged" (bool: truncated because the
            physics broke down).
    """

    observation: Float32Array
    reward: Float32Array
    terminated: BoolArray
    truncated: BoolArray
    info: dict[str, NDArray[Any]] = field(default_factory=dict)


@runtime_checkable
class StepEnv(Protocol):
    """A vectorised task in raw units, stepped one control period at a time.

    Attributes:
        name: task name, as in the configuration.
        n_envs: number of parallel environments.
        observation_spec: names, units and slices of the Do observation numbers.
        action_spec: the same for the A action numbers.
        max_episode_steps: control steps after which an episode is truncated.
        control_rate_hz: control steps per second of simulated time.
        phase_names: milestones of the task in order; `info["phase"]` indexes this tuple.
    """

    name: str
    n_envs: int
    observation_spec: VectorSpec
    action_spec: VectorSpec
    max_episode_steps: int
    control_rate_hz: float

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Milestones of the task in order."""
        ...

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start new episodes; the same seed gives the same episode start.

        Args:
            env_ids: (m,) which environments.
            seeds: (m,) non-negative episode seeds.

        Returns:
            (m, Do) float32 first observations, raw units.
        """
        ...

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Advance the active environments by one control step.

        Args:
            actions: (n_envs, A) float32, raw units; rows of inactive environments are ignored.
            active: (n_envs,) which environments to step.
        """
        ...

    def close(self) -> None:
        """Release threads and graphics."""
        ...


@runtime_checkable
class ChunkSteppable(Protocol):
    """A `StepEnv` that can execute a whole chunk at once, with the same results as `step`.

    For simulators where every return to the caller costs much: on another device or in another
    process. Not used while a policy looks through cameras.
    """

    def step_chunk(self, actions: Float32Array, active: BoolArray) -> list[StepOutcome]:
        """Advance the active environments by h control steps.

        Where an episode ends inside the chunk, rows of later outcomes are ignored: the simulator
        may run on, stand still or give up there. The caller resets or leaves the environment.

        Args:
            actions: (n_envs, h, A) float32, raw units; rows of inactive environments are ignored.
            active: (n_envs,) which environments to step.

        Returns:
            One outcome for each control step; fewer than h only if every episode has ended.
        """
        ...


@runtime_checkable
class RenderableEnv(Protocol):
    """A `StepEnv` that can also draw itself."""

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return one (height, width, 3) uint8 RGB image of one environment."""
        ...


@runtime_checkable
class PixelEnv(Protocol):
    """A `StepEnv` with cameras; its numeric observation leaves out what the images show.

    Attributes:
        cameras: how many; their channels are stacked, so C = 3 * cameras.
        image_size_px: height and width h = w.
    """

    cameras: int
    image_size_px: int

    def images(self) -> NDArray[np.uint8]:
        """Return the present images (n_envs, C, h, w) RGB; must not be written to.

        Called only when a policy is about to look, so drawing may wait until then.
        """
        ...


@runtime_checkable
class SavableEnv(Protocol):
    """A `StepEnv` whose simulation state can be saved, so that runs resume in mid-episode."""

    def state_dict(self) -> dict[str, Any]:
        """Return arrays and plain values that describe the state completely."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


@runtime_checkable
class NominalEnv(Protocol):
    """A `StepEnv` that knows its usual ranges, so that training can start without any data.

    Attributes:
        observation_range: (2, Do) usual least and greatest raw values.
        action_range: (2, A) least and greatest raw actions.
    """

    observation_range: NDArray[np.float64]
    action_range: NDArray[np.float64]


@dataclass(frozen=True)
class ChunkStep:
    """What one chunk of up to h control steps returned.

    Attributes:
        observation: next observation; of the *next* episode where one ended.
        reward: (n_envs,) float32, sum over the executed control steps.
        terminated: (n_envs,) the task ended inside the chunk.
        truncated: (n_envs,) the time limit ended the episode (False where terminated).
        final_observation: true last observation; only rows where `ended` are meaningful.
        info: arrays (n_envs,). Always: "success", "phase", "episode_reward", "episode_steps",
            "seed" (of the episode the chunk belonged to), "steps" (control steps executed in this
            chunk) and "parked" (no further episode was available). Where the simulator tells
            them: "lost" and "diverged", as in `StepOutcome`.
    """

    observation: Observation
    reward: Float32Array
    terminated: BoolArray
    truncated: BoolArray
    final_observation: Observation
    info: dict[str, NDArray[Any]]

    @property
    def ended(self) -> BoolArray:
        """(n_envs,) an episode ended inside this chunk, for whatever reason."""
        return np.logical_or(self.terminated, self.truncated)

    @property
    def failed(self) -> BoolArray:
        """(n_envs,) the simulator failed, and truncated the episode."""
        failed = np.zeros(len(self.truncated), dtype=bool)
        for name in ("lost", "diverged"):
            failed |= self.info.get(name, False)
        return failed & self.truncated


@runtime_checkable
class VectorEnv(Protocol):
    """The environment as the algorithms see it: chunks of normalised actions, same-step reset.

    Attributes:
        n_envs: number of parallel environments.
        obs_dim: Do.
        action_dim: A.
        cond_steps: To.
        act_steps: h.
        phase_names: milestones of the task in order.
    """

    n_envs: int
    obs_dim: int
    action_dim: int
    cond_steps: int
    act_steps: int
    phase_names: tuple[str, ...]

    @property
    def restorable(self) -> bool:
        """Whether `load_state_dict` also restores episodes in progress."""
        ...

    @property
    def at_start(self) -> BoolArray:
        """(n_envs,) whether the episode has not moved yet."""
        ...

    def observe(self) -> Observation:
        """Return the present observation."""
        ...

    def reset(self) -> Observation:
        """Start a new episode in every environment and return the first observations."""
        ...

    def step(self, chunk: Float32Array) -> ChunkStep:
        """Execute a chunk (n_envs, h, A) of normalised actions in every environment."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to continue with the same episodes after a restart."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...

    def close(self) -> None:
        """Release the simulator."""
        ...
