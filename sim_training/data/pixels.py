# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo data generate`` for pixel tasks: scripted demonstrations with the images they show.

The demonstrator sees everything; the recorded observation is what a policy gets: robot or point,
and images.

Legend: n_envs environments, Do observation size, A action size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError, DataError
from sim_training.checks import require_at_least
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.envs.furniture.pixel_config import OneLegPixelsConfig, View
from sim_training.envs.protocol import BoolArray, Float32Array, PixelEnv, StepEnv
from sim_training.envs.toy import scripted_action
from sim_training.envs.toy_pixels import ToyReachPixelsConfig, ToyReachPixelsEnv

SEED_STRIDE = 1_000_003
"""Episode i of ``seed`` s starts from environment seed s * stride + i."""
_MOST_TRIES = 10


Expert = Callable[[Float32Array], Float32Array]
"""From full observations (m, ...) to raw actions (m, A)."""


class DemonstratedEnv(StepEnv, PixelEnv, Protocol):
    """A pixel task that tells a demonstrator what the images hide from the numbers."""

    def full_observation(self) -> Float32Array:
        """Return the complete observations (n_envs, ...)."""
        ...


@dataclass(frozen=True)
class ToyPixelsGenerateConfig:
    """Record demonstrations of the toy task with images."""

    episodes: int = 200
    """How many to record."""
    seed: int = 0
    """Episode i starts from a seed that follows from this one and i; the same seed gives the same
    data."""
    noise_m: float = 0.005
    """Standard deviation of the target noise; larger makes worse demonstrations."""
    image_size_px: int = 48
    """Height and width of the images."""
    out: Path = Path("data/toy_reach_pixels")
    """Dataset folder."""
    overwrite: bool = False
    """Replace what is there."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        require_at_least(1, self, "episodes")
        require_at_least(0, self, "seed", "noise_m")


@dataclass(frozen=True)
class OneLegPixelsGenerateConfig:
    """Record demonstrations of one_leg with images (slow: every frame is drawn)."""

    episodes: int = 50
    """Successful episodes to record."""
    seed: int = 0
    """Episode i starts from a seed that follows from this one and i; the same seed gives the same
    data."""
    randomness: Literal["low", "med"] = "low"
    """Level of the start states."""
    views: tuple[View, ...] = ("front",)
    """Cameras, one or two."""
    image_size_px: int = 96
    """Height and width of the images."""
    n_envs: int = 10
    """Cells simulated side by side."""
    threads: int = 2
    """Simulation threads."""
    out: Path = Path("data/one_leg_pixels")
    """Dataset folder."""
    overwrite: bool = False
    """Replace what is there."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "episodes", "n_envs", "threads")
        require_at_least(0, self, "seed")


def generate_toy_pixels(config: ToyPixelsGenerateConfig) -> Path:
    """Write demonstrations of the toy task with images and return the folder.

    Raises:
        DataError: the folder is taken.
    """
    task = ToyReachPixelsConfig(image_size_px=config.image_size_px)
    env = ToyReachPixelsEnv(task, min(50, config.episodes))
    rng = np.random.default_rng(config.seed)

    def expert(observation: Float32Array) -> Float32Array:
        return scripted_action(observation, task.max_step_m, rng, config.noise_m)

    dataset = record(env, expert, config.episodes, config.seed, settings=_settings(config))
    return write_dataset(config.out, dataset, config.overwrite)


def generate_one_leg_pixels(config: OneLegPixelsGenerateConfig) -> Path:
    """Write demonstrations of one_leg with images and return the folder.

    Raises:
        DataError: the folder is taken, or the expert failed far too often.
        EnvironmentUnavailableError: this machine cannot draw off-screen.
    """
    from sim_training.envs.furniture.one_leg.expert import expert_actions
    from sim_training.envs.furniture.pixels import OneLegPixelsEnv

    task = OneLegPixelsConfig(
        randomness=config.randomness, views=config.views, image_size_px=config.image_size_px
    )
    env = OneLegPixelsEnv(task, min(config.n_envs, config.episodes), config.threads)
    try:
        dataset = record(
            env, expert_actions, config.episodes, config.seed, settings=_settings(config)
        )
    finally:
        env.close()
    return write_dataset(config.out, dataset, config.overwrite)


def record(
    env: DemonstratedEnv, expert: Expert, episodes: int, seed: int, settings: dict[str, Any]
) -> EpisodeDataset:
    """Return successful demonstrations, with images, from episodes with consecutive seeds.

    Args:
        env: the task.
        expert: acts on complete observations.
        episodes: how many to keep.
        seed: the same seed gives the same data.
        settings: noted in the metadata.

    Raises:
        DataError: the expert failed nine times as often as it succeeded.
    """
    good: list[_Episode] = []
    tried = 0
    while len(good) < episodes:
        if tried >= _MOST_TRIES * episodes + env.n_envs:
            raise DataError(f"the expert succeeded in {len(good)} of {tried} episodes; see --help")
        seeds = seed * SEED_STRIDE + tried + np.arange(env.n_envs)
        good += [episode for episode in _wave(env, expert, seeds) if episode.success]
        tried += env.n_envs
    rate = len(good) / tried
    good = good[:episodes]
    return EpisodeDataset(
        states=np.concatenate([np.stack(e.states) for e in good]),
        actions=np.concatenate([np.stack(e.actions) for e in good]),
        traj_lengths=np.array([len(e.states) for e in good], dtype=np.int64),
        observation_spec=env.observation_spec,
        action_spec=env.action_spec,
        metadata={
            "name": env.name,
            "task": env.name,
            "fps": env.control_rate_hz,
            "seeds": [e.seed for e in good],
            "success": [True] * len(good),
            "episodes": len(good),
            "expert_success_rate": rate,
            "generator": {"command": f"dppo data generate {env.name}", **settings},
        },
        images=np.concatenate([np.stack(e.images) for e in good]),
    )


@dataclass
class _Episode:
    seed: int
    states: list[Float32Array] = field(default_factory=list)
    actions: list[Float32Array] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    success: bool = False


def _wave(env: DemonstratedEnv, expert: Expert, seeds: NDArray[np.int64]) -> list[_Episode]:
    """Run one episode in every environment to its end."""
    observation = env.reset(np.arange(env.n_envs), seeds)
    active: BoolArray = np.ones(env.n_envs, dtype=bool)
    episodes = [_Episode(int(seed)) for seed in seeds]
    actions = np.zeros((env.n_envs, env.action_spec.dim), dtype=np.float32)
    while active.any():
        actions[active] = expert(env.full_observation()[active])
        images = env.images()
        for index in np.flatnonzero(active):
            episodes[index].states.append(observation[index].copy())
            episodes[index].actions.append(actions[index].copy())
            episodes[index].images.append(images[index].copy())
        outcome = env.step(actions, active)
        observation = outcome.observation
        for index in np.flatnonzero(active):
            episodes[index].success = bool(outcome.info["success"][index])
        active = active & ~outcome.terminated & ~outcome.truncated
    return episodes


def _settings(config: ToyPixelsGenerateConfig | OneLegPixelsGenerateConfig) -> dict[str, Any]:
    left_out = ("out", "overwrite", "threads")
    return {key: value for key, value in vars(config).items() if key not in left_out}
