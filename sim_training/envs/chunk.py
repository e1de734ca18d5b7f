# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunk execution: normalised chunks in, summed rewards out, reset in the same step (NumPy only).

A chunk stops early in the environments whose episode ends inside it; the others finish it. The
environments that ended start their next episode before `step` returns. Episode seeds come from a
`SeedSource`; an environment for which there is no further episode is parked: it repeats its last
observation, earns nothing and ends nothing.

Legend: n_envs environments, Do observation size, A action size, To stacked observations, Ti stacked
images, h executed actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dppo_ros.core.errors import ActionError, CheckpointError, ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer
from sim_training.envs.pixels import ImageHistory, pixel_source
from sim_training.envs.protocol import (
    BoolArray,
    ChunkStep,
    ChunkSteppable,
    Float32Array,
    IntArray,
    Observation,
    SavableEnv,
    StepEnv,
    StepOutcome,
)
from sim_training.envs.seeds import SeedSource


@dataclass(frozen=True)
class ChunkSettings:
    """How observations and actions cross the boundary.

    Attributes:
        observation_normalizer: raw observations to [-1, 1].
        action_normalizer: raw actions to [-1, 1].
        act_steps: executed actions per chunk.
        cond_steps: stacked observations.
        observation_clip: limit of normalised observations.
        action_clip: limit of normalised actions; None passes them through.
        cameras: cameras the policy looks through; 0 leaves a task's images undrawn.
        image_size_px: height and width of their images.
        img_cond_steps: stacked images, one per control step.
    """

    observation_normalizer: MinMaxNormalizer
    action_normalizer: MinMaxNormalizer
    act_steps: int
    cond_steps: int = 1
    observation_clip: float = 5.0
    action_clip: float | None = None
    cameras: int = 0
    image_size_px: int = 0
    img_cond_steps: int = 1


class ChunkEnv:
    """`VectorEnv` over any `StepEnv`."""

    def __init__(self, step_env: StepEnv, settings: ChunkSettings, seeds: SeedSource) -> None:
        """Wrap an environment; call `reset` before stepping.

        Raises:
            ConfigError: the normalisers or the cameras do not fit the environment.
        """
        self.step_env = step_env
        self.settings = settings
        self.seeds = seeds
        self.n_envs = step_env.n_envs
        self.obs_dim = step_env.observation_spec.dim
        self.action_dim = step_env.action_spec.dim
        self.cond_steps = settings.cond_steps
        self.act_steps = settings.act_steps
        self.phase_names = step_env.phase_names
        for name, normalizer, dim in (
            ("observation", settings.observation_normalizer, self.obs_dim),
            ("action", settings.action_normalizer, self.action_dim),
        ):
            if normalizer.dim != dim:
                raise ConfigError(
                    f"the policy's {name} has {normalizer.dim} numbers but task "
                    f"{step_env.name!r} has {dim}; use the task the policy was trained on"
                )
        n = self.n_envs
        self._images: ImageHistory | None = None
        if settings.cameras:
            source = pixel_source(step_env, settings.cameras, settings.image_size_px)
            self._images = ImageHistory(source, n, settings.img_cond_steps)
        self._history = np.zeros((n, self.cond_steps, self.obs_dim), dtype=np.float32)
        self._seed = np.zeros(n, dtype=np.int64)
        self._parked = np.ones(n, dtype=bool)
        self._episode_reward = np.zeros(n, dtype=np.float64)
        self._episode_steps = np.zeros(n, dtype=np.int64)
        self._success = np.zeros(n, dtype=bool)
        self._phase = np.zeros(n, dtype=np.int8)
        self._failed: dict[str, BoolArray] = {}

    @property
    def restorable(self) -> bool:
        """Whether `load_state_dict` also restores episodes in progress."""
        return isinstance(self.step_env, SavableEnv)

    @property
    def at_start(self) -> BoolArray:
        """(n_envs,) whether the episode has not moved yet."""
        return np.asarray(self._episode_steps == 0, dtype=bool)

    @property
    def seed_of(self) -> IntArray:
        """(n_envs,) seed of the episode each environment is in."""
        return self._seed

    def reset(self) -> Observation:
        """Start a new episode everywhere."""
        self._start(np.arange(self.n_envs))
        return self.observe()

    def observe(self) -> Observation:
        """Return the present observation."""
        observation: Observation = {"state": self._history.copy()}
        if self._images is not None:
            observation["rgb"] = self._images.observe()
        return observation

    def step(self, chunk: Float32Array) -> ChunkStep:
        """Execute a chunk (n_envs, h, A) of normalised actions.

        Raises:
            ActionError: wrong shape or a value that is not finite.
        """
        raw = self._raw_actions(chunk)
        n = self.n_envs
        running = ~self._parked
        reward = np.zeros(n, dtype=np.float32)
        terminated, truncated = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        steps = np.zeros(n, dtype=np.int64)
        self._failed = {}
        whole = self._whole_chunk(raw, running)
        for index in range(self.act_steps):
            if not running.any():
                break
            outcome = whole[index] if whole else self.step_env.step(raw[:, index], running)
            moved = running & ~self._note_failures(outcome, running)
            reward[moved] += outcome.reward[moved]
            steps += moved
            self._push(moved, outcome.observation)
            # A longer history needs every image; otherwise the one after the chunk is enough.
            if self._images is not None and self._images.img_cond_steps > 1:
                self._images.push(running)
            terminated |= running & outcome.terminated
            truncated |= running & outcome.truncated & ~outcome.terminated
            self._success[running] = outcome.info["success"][running]
            self._phase[running] = outcome.info["phase"][running]
            running = running & ~terminated & ~truncated
        if self._images is not None and self._images.img_cond_steps == 1:
            self._images.push(steps > 0)
        self._episode_reward += reward
        self._episode_steps += steps
        info = self._info(steps)
        final = self.observe()
        ended = terminated | truncated
        for env_id in np.flatnonzero(self._failed.get("lost", ())):
            self.seeds.give_back(int(self._seed[env_id]))
        if ended.any():
            self._start(np.flatnonzero(ended))
        return ChunkStep(self.observe(), reward, terminated, truncated, final, info)

    def state_dict(self) -> dict[str, Any]:
        """Return seeds, counters and, where the simulator can, the simulation state."""
        simulator = self.step_env
        return {
            "seeds": self.seeds.state_dict(),
            "history": self._history.copy(),
            "seed": self._seed.copy(),
            "parked": self._parked.copy(),
            "episode_reward": self._episode_reward.copy(),
            "episode_steps": self._episode_steps.copy(),
            "success": self._success.copy(),
            "phase": self._phase.copy(),
            "images": None if self._images is None else self._images.state_dict(),
            "simulator": simulator.state_dict() if isinstance(simulator, SavableEnv) else None,
            "simulator_kind": type(simulator).__name__,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        With a simulator that cannot be restored (`restorable` is False) only the seed stream
        continues; call `reset` before the next step.

        Raises:
            CheckpointError: it was another number of environments, or another simulator.
        """
        if len(state["seed"]) != self.n_envs:
            raise CheckpointError(
                f"the checkpoint holds {len(state['seed'])} environments of this process but "
                f"{self.n_envs} are configured (train.n_envs); resume with as many as before"
            )
        kind, saved = type(self.step_env).__name__, state.get("simulator_kind")
        if state["simulator"] is not None and saved not in (None, kind):
            raise CheckpointError(
                f"the checkpoint holds episodes of {saved} but the environment is now {kind}; "
                "resume with the env settings of the run"
            )
        self.seeds.load_state_dict(state["seeds"])
        for name in (
            "history",
            "seed",
            "parked",
            "episode_reward",
            "episode_steps",
            "success",
            "phase",
        ):
            getattr(self, f"_{name}")[:] = state[name]
        if self._images is not None and state["images"] is not None:
            self._images.load_state_dict(state["images"])
        if isinstance(self.step_env, SavableEnv) and state["simulator"] is not None:
            self.step_env.load_state_dict(state["simulator"])
        else:
            self._parked[:] = True

    def close(self) -> None:
        """Release the simulator."""
        self.step_env.close()

    def _raw_actions(self, chunk: Float32Array) -> Float32Array:
        expected = (self.n_envs, self.act_steps, self.action_dim)
        if chunk.shape != expected:
            raise ActionError(f"a chunk must have shape {expected}, got {chunk.shape}")
        if not np.isfinite(chunk).all():
            bad = int(np.argwhere(~np.isfinite(chunk))[0][0])
            raise ActionError(
                f"the policy gave a non-finite action in environment {bad}; its weights have "
                "diverged: lower the learning rate or go back to an older checkpoint"
            )
        limit = self.settings.action_clip
        limited = chunk if limit is None else np.clip(chunk, -limit, limit)
        raw = self.settings.action_normalizer.denormalize(limited.astype(np.float32, copy=False))
        return np.asarray(raw, dtype=np.float32)

    def _whole_chunk(self, raw: Float32Array, running: BoolArray) -> list[StepOutcome] | None:
        """Outcomes of all control steps in one call, where the simulator can and nobody looks."""
        simulator = self.step_env
        if self._images is None and isinstance(simulator, ChunkSteppable) and running.any():
            return simulator.step_chunk(raw, running)
        return None

    def _normalised(self, raw: Float32Array) -> Float32Array:
        clip = self.settings.observation_clip
        scaled = self.settings.observation_normalizer.normalize(raw, clip=clip)
        return np.asarray(scaled, dtype=np.float32)

    def _push(self, running: BoolArray, raw: Float32Array) -> None:
        shifted = self._history[running]
        shifted[:, :-1] = shifted[:, 1:]
        shifted[:, -1] = self._normalised(raw[running])
        self._history[running] = shifted

    def _start(self, env_ids: IntArray) -> None:
        ids, seeds = [], []
        for env_id in env_ids:
            seed = self.seeds.next_seed(int(env_id))
            self._parked[env_id] = seed is None
            if seed is not None:
                ids.append(int(env_id))
                seeds.append(seed)
        if not ids:
            return
        chosen = np.array(ids, dtype=np.int64)
        self._seed[chosen] = seeds
        first = self._normalised(self.step_env.reset(chosen, self._seed[chosen]))
        self._history[chosen] = first[:, None, :]
        if self._images is not None:
            self._images.start(chosen)
        self._episode_reward[chosen] = 0.0
        self._episode_steps[chosen] = 0
        self._success[chosen] = False
        self._phase[chosen] = 0

    def _note_failures(self, outcome: StepOutcome, running: BoolArray) -> BoolArray:
        """Remember what failed in this step; returns where it was lost, so nothing moved."""
        for name in ("lost", "diverged"):
            if name in outcome.info:
                before = self._failed.get(name, np.zeros(self.n_envs, dtype=bool))
                self._failed[name] = before | (running & outcome.info[name])
        lost = outcome.info.get("lost", np.zeros(self.n_envs, dtype=bool))
        return np.asarray(running & lost, dtype=bool)

    def _info(self, steps: IntArray) -> dict[str, np.ndarray]:
        return {
            "success": self._success.copy(),
            "phase": self._phase.copy(),
            "episode_reward": self._episode_reward.astype(np.float32),
            "episode_steps": self._episode_steps.copy(),
            "seed": self._seed.copy(),
            "steps": steps,
            "parked": self._parked.copy(),
            **self._failed,
        }
