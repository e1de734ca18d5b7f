# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo data generate lift``: demonstrations of the scripted expert on robosuite's Lift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from dppo_ros.core.errors import ConfigError, DataError
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.envs.lift_expert import lift_actions
from sim_training.envs.protocol import StepEnv
from sim_training.envs.recording import RecordedEpisode, RecordingEnv
from sim_training.envs.robomimic import RobomimicConfig, make_robomimic_env
from sim_training.run_progress import RunProgress


@dataclass(frozen=True)
class LiftGenerateConfig:
    """Record demonstrations of Lift; needs `make robomimic`."""

    episodes: int = 50
    """Successful ones to record."""
    seed: int = 0
    """Episode i starts from seed + i."""
    noise: float = 0.05
    """Standard deviation added to the expert's arm actions, in shares of a full step."""
    max_episode_steps: int = 100
    """Control steps after which an attempt has failed."""
    out: Path = Path("data/lift")
    """Dataset folder."""
    n_envs: int = 4
    """Environments simulated side by side."""
    threads: int = 2
    """Worker processes."""
    overwrite: bool = False
    """Replace what is there."""
    env: RobomimicConfig = field(default_factory=RobomimicConfig)
    """Where its interpreter is; episodes end with the task."""

    def __post_init__(self) -> None:
        """Refuse impossible numbers.

        Raises:
            ConfigError: no episode or environment, or negative noise.
        """
        if self.episodes < 1 or self.n_envs < 1 or self.noise < 0:
            raise ConfigError(
                f"episodes is {self.episodes}, n_envs {self.n_envs} and noise {self.noise}; the "
                "first two must be at least 1, the noise not negative"
            )


def generate_lift(config: LiftGenerateConfig, console: Console | None = None) -> Path:
    """Record demonstrations and return the dataset folder.

    Raises:
        DataError: the folder is taken, or the expert failed more often than it succeeded.
        EnvironmentUnavailableError: robosuite's interpreter is missing.
    """
    console = console or Console()
    if (config.out / "dataset.json").exists() and not config.overwrite:
        raise DataError(
            f"{config.out} already holds a dataset; choose another --out or pass --overwrite"
        )
    task = replace(
        config.env,
        name="lift",
        max_episode_steps=config.max_episode_steps,
        terminate_on_success=True,
    )
    env = make_robomimic_env(task, min(config.n_envs, config.episodes), config.threads)
    try:
        with RunProgress("demonstrations", config.episodes, 0) as progress:
            good, failed = _record(env, config, progress.advance)
    finally:
        env.close()
    total = len(good) + failed
    lengths = sorted(len(episode.states) for episode in good)
    console.print(f"expert: {len(good)} of {total} episodes lifted ({len(good) / total:.1%})")
    console.print(f"episode length: median {lengths[len(lengths) // 2]}, max {lengths[-1]} steps")
    chosen = good[: config.episodes]
    return write_dataset(config.out, _dataset(env, config, chosen, total), config.overwrite)


def _record(
    env: StepEnv, config: LiftGenerateConfig, report: Callable[[int], None]
) -> tuple[list[RecordedEpisode], int]:
    """Return successful episodes in seed order, and how many failed."""
    tape = RecordingEnv(env, 1.0)
    rng = np.random.default_rng(config.seed)
    next_seed = config.seed + env.n_envs
    everywhere = np.ones(env.n_envs, dtype=bool)
    observation = tape.reset(np.arange(env.n_envs), config.seed + np.arange(env.n_envs))
    while (good := sum(e.terminated for e in tape.episodes)) < config.episodes:
        if len(tape.episodes) > 2 * config.episodes + 10:
            raise DataError(
                f"the expert lifted the cube in {good} of {len(tape.episodes)} episodes; lower "
                f"the noise ({config.noise})"
            )
        actions = lift_actions(observation)
        actions[:, :6] += rng.normal(0.0, config.noise, (env.n_envs, 6)).astype(np.float32)
        outcome = tape.step(actions, everywhere)
        observation = outcome.observation.copy()
        ended = np.flatnonzero(outcome.terminated | outcome.truncated)
        if len(ended):
            observation[ended] = tape.reset(ended, next_seed + np.arange(len(ended)))
            next_seed += len(ended)
        report(good)
    finished = sorted((e for e in tape.episodes if e.finished), key=lambda e: e.seed)
    wins = [episode for episode in finished if episode.terminated]
    return wins, len(finished) - len(wins)


def _dataset(
    env: StepEnv, config: LiftGenerateConfig, good: list[RecordedEpisode], total: int
) -> EpisodeDataset:
    return EpisodeDataset(
        states=np.concatenate([episode.states for episode in good]),
        actions=np.concatenate([episode.actions for episode in good]),
        traj_lengths=np.array([len(episode.states) for episode in good], dtype=np.int64),
        observation_spec=env.observation_spec,
        action_spec=env.action_spec,
        metadata={
            "name": "lift",
            "task": "lift",
            "fps": env.control_rate_hz,
            "seeds": [episode.seed for episode in good],
            "success": [True] * len(good),
            "expert_success_rate": len(good) / total,
            "generator": {
                "command": "dppo data generate lift",
                "episodes": config.episodes,
                "seed": config.seed,
                "noise": config.noise,
                "max_episode_steps": config.max_episode_steps,
                "n_envs": config.n_envs,
            },
        },
    )
