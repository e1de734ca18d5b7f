# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo data generate``: demonstrations of the scripted experts.

Because the experts are memoryless, they can be disturbed on purpose: with ``recovery_rate`` above
zero the tool is pushed off course now and then. The disturbed steps are not recorded; the expert's
way back starts a new trajectory, so that every recorded chunk is clean and the data still covers
the neighbourhood of the expert's path.

No torch and no rclpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from dppo_ros.core.errors import ConfigError, DataError
from dppo_ros.core.observation import furniture_observation_spec, split_action
from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_6d_from_matrix
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.envs.furniture.expert import expert_actions
from sim_training.envs.furniture.mujoco_batch import OneLegEnv
from sim_training.envs.furniture.task import PHASE_NAMES, OneLegConfig

_SPEC = furniture_observation_spec()
_POSITION = _SPEC.slice("tool_position")
_LINEAR = _SPEC.slice("tool_linear_velocity")
_ANGULAR = _SPEC.slice("tool_angular_velocity")
_CELL_M = np.array([[0.20, -0.45, -0.01], [0.80, 0.45, 0.45]])
_CALM_M_S = 1.0
_CALM_RAD_S = 4.0
"""A demonstration that leaves the cell or exceeds these speeds is not kept."""

SEED_STRIDE = 1_000_003
"""Episode i of ``seed`` s starts from environment seed s * stride + i."""


@dataclass(frozen=True)
class GenerateConfig:
    """What to record.

    Attributes:
        task: task with a scripted expert.
        randomness: start-state level.
        episodes: successful episodes to record.
        seed: first seed; the same seed gives the same data.
        out: dataset folder; default ``data/<task>_<randomness>``.
        recovery_rate: chance per control step that a disturbance begins (0: clean episodes).
        recovery_translation_m: largest push of the tool goal along each axis.
        recovery_rotation_rad: largest turn of the tool goal about each axis.
        n_envs: cells simulated side by side.
        threads: simulation threads.
        overwrite: replace an existing dataset.
    """

    task: Literal["one_leg"] = "one_leg"
    randomness: Literal["low", "med"] = "low"
    episodes: int = 50
    seed: int = 0
    out: Path | None = None
    recovery_rate: float = 0.0
    recovery_translation_m: float = 0.03
    recovery_rotation_rad: float = 0.15
    n_envs: int = 25
    threads: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigError(f"episodes = {self.episodes}, must be at least 1")
        if not 0.0 <= self.recovery_rate <= 0.2:
            raise ConfigError(f"recovery_rate = {self.recovery_rate}, must be in [0, 0.2]")


@dataclass
class _Recording:
    """Frames of one running episode, cut into trajectories at disturbances."""

    seed: int
    states: list[list[NDArray[np.float32]]]
    actions: list[list[NDArray[np.float32]]]
    steps: int = 0

    def cut(self) -> None:
        """Start a new trajectory unless the present one is still empty."""
        if self.states[-1]:
            self.states.append([])
            self.actions.append([])

    def is_calm(self) -> bool:
        """No frame is faster than an arm should be or outside the work cell."""
        states = np.stack([state for part in self.states for state in part])
        speed = np.linalg.norm(states[:, _LINEAR], axis=-1)
        rate = np.linalg.norm(states[:, _ANGULAR], axis=-1)
        inside = np.all((states[:, _POSITION] > _CELL_M[0]) & (states[:, _POSITION] < _CELL_M[1]))
        return bool(inside and speed.max() < _CALM_M_S and rate.max() < _CALM_RAD_S)


@dataclass(frozen=True)
class _Finished:
    """Outcome of one episode."""

    seed: int
    success: bool
    steps: int
    phase: int
    recording: _Recording


class _Disturbance:
    """Pushes that last a few steps, one stream of random numbers per run."""

    def __init__(self, config: GenerateConfig, n_envs: int) -> None:
        self._config = config
        self._rng = np.random.default_rng([config.seed, 7])
        self._remaining = np.zeros(n_envs, dtype=np.int64)
        self._shift = np.zeros((n_envs, 3))
        self._turn = np.zeros((n_envs, 3))

    def apply(
        self, actions: NDArray[np.float32], active: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Actions to execute and which environments are being disturbed, (n_envs)."""
        config, rng, n_envs = self._config, self._rng, len(actions)
        if config.recovery_rate == 0.0:
            return actions, np.zeros(n_envs, dtype=bool)
        begins = (self._remaining == 0) & (rng.random(n_envs) < config.recovery_rate)
        self._remaining[begins] = rng.integers(2, 8, n_envs)[begins]
        shift = rng.uniform(-1, 1, (n_envs, 3)) * config.recovery_translation_m
        turn = rng.uniform(-1, 1, (n_envs, 3)) * config.recovery_rotation_rad
        self._shift[begins], self._turn[begins] = shift[begins], turn[begins]
        disturbed = (self._remaining > 0) & active
        self._remaining[disturbed] -= 1
        executed = actions.copy()
        position, rotation, _ = split_action(actions[disturbed])
        executed[disturbed, :3] = position + self._shift[disturbed]
        turned = matrix_from_rotation_vector(self._turn[disturbed]) @ rotation
        executed[disturbed, 3:9] = rotation_6d_from_matrix(turned)
        return executed, disturbed


def generate(config: GenerateConfig, console: Console | None = None) -> Path:
    """Record demonstrations and print success rate and lengths; returns the dataset folder.

    Raises:
        DataError: the folder is taken, or the expert failed far too often.
    """
    console = console or Console()
    out = config.out or Path("data") / f"{config.task}_{config.randomness}"
    if (out / "dataset.json").exists() and not config.overwrite:
        raise DataError(f"{out} already holds a dataset; choose another --out or pass --overwrite")
    n_envs = min(config.n_envs, config.episodes)
    env = OneLegEnv(OneLegConfig(randomness=config.randomness), n_envs, config.threads)
    finished = _record(env, config, n_envs, console)
    good = [episode for episode in finished if episode.success][: config.episodes]
    _print_summary(finished, good, console)
    dataset = _dataset(env, config, finished, good)
    folder = write_dataset(out, dataset, overwrite=config.overwrite)
    console.print(f"wrote {len(dataset.states)} frames to {folder}")
    return folder


def _record(
    env: OneLegEnv, config: GenerateConfig, n_envs: int, console: Console
) -> list[_Finished]:
    """Run episodes with consecutive seeds until enough succeeded; results in seed order."""
    disturbance = _Disturbance(config, n_envs)
    next_seed = config.seed * SEED_STRIDE
    limit = next_seed + 10 * config.episodes + 20
    running: list[_Recording] = []
    for _ in range(n_envs):
        running.append(_Recording(next_seed, [[]], [[]]))
        next_seed += 1
    seeds = np.array([recording.seed for recording in running])
    observations = env.reset(np.arange(n_envs), seeds).copy()
    active = np.ones(n_envs, dtype=bool)
    finished: list[_Finished] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("demonstrations", total=config.episodes)
        while active.any():
            actions = np.zeros((n_envs, env.action_spec.dim), dtype=np.float32)
            actions[active] = expert_actions(observations[active])
            executed, disturbed = disturbance.apply(actions, active)
            _append(running, observations, actions, active, disturbed)
            outcome = env.step(executed, active)
            observations = outcome.observation
            for index in np.flatnonzero(outcome.terminated | outcome.truncated):
                recording = running[index]
                success = bool(outcome.info["success"][index]) and recording.is_calm()
                phase = int(outcome.info["phase"][index])
                finished.append(
                    _Finished(recording.seed, success, recording.steps, phase, recording)
                )
                progress.update(task, completed=sum(e.success for e in finished))
                # Which episodes are kept must not depend on how many cells ran side by side.
                wanted = config.episodes - sum(e.success for e in finished)
                if wanted - (int(active.sum()) - 1) > 0 and next_seed < limit:
                    running[index] = _Recording(next_seed, [[]], [[]])
                    observations[index] = env.reset(np.array([index]), np.array([next_seed]))[0]
                    next_seed += 1
                else:
                    active[index] = False
            if not active.any() and sum(e.success for e in finished) < config.episodes:
                if next_seed >= limit:
                    raise DataError(
                        f"the expert succeeded in {sum(e.success for e in finished)} of "
                        f"{len(finished)} episodes; lower recovery_rate ({config.recovery_rate})"
                    )
                running[0] = _Recording(next_seed, [[]], [[]])
                observations[0] = env.reset(np.array([0]), np.array([next_seed]))[0]
                active[0] = True
                next_seed += 1
    return sorted(finished, key=lambda episode: episode.seed)


def _append(
    running: list[_Recording],
    observations: NDArray[np.float32],
    actions: NDArray[np.float32],
    active: NDArray[np.bool_],
    disturbed: NDArray[np.bool_],
) -> None:
    for index in np.flatnonzero(active):
        recording = running[index]
        recording.steps += 1
        if disturbed[index]:
            recording.cut()
        else:
            recording.states[-1].append(observations[index].copy())
            recording.actions[-1].append(actions[index].copy())


def _dataset(
    env: OneLegEnv, config: GenerateConfig, finished: list[_Finished], good: list[_Finished]
) -> EpisodeDataset:
    states = [frames for e in good for frames in e.recording.states if frames]
    actions = [frames for e in good for frames in e.recording.actions if frames]
    return EpisodeDataset(
        states=np.concatenate([np.stack(frames) for frames in states]),
        actions=np.concatenate([np.stack(frames) for frames in actions]),
        traj_lengths=np.array([len(frames) for frames in states], dtype=np.int64),
        observation_spec=env.observation_spec,
        action_spec=env.action_spec,
        metadata={
            "name": f"{config.task}_{config.randomness}",
            "task": config.task,
            "randomness": config.randomness,
            "fps": env.control_rate_hz,
            "seeds": [e.seed for e in good],
            "episodes": len(good),
            "expert_success_rate": sum(e.success for e in finished) / len(finished),
            "success": [True] * len(states),
            "generator": {
                "command": "dppo data generate",
                **{
                    key: str(value) if isinstance(value, Path) else value
                    for key, value in vars(config).items()
                    if key not in ("out", "overwrite", "threads")
                },
            },
        },
    )


def _print_summary(finished: list[_Finished], good: list[_Finished], console: Console) -> None:
    total = len(finished)
    wins = sum(e.success for e in finished)
    console.print(f"expert: {wins} of {total} episodes assembled ({wins / total:.1%})")
    failures = [e for e in finished if not e.success]
    for phase, name in enumerate(PHASE_NAMES):
        count = sum(e.phase == phase for e in failures)
        if count:
            console.print(f"  {count} ended at phase '{name}'")
    lengths = np.array([e.steps for e in good])
    counts, edges = np.histogram(lengths, bins=min(10, max(1, len(set(lengths)))))
    console.print(f"episode length: median {int(np.median(lengths))}, max {lengths.max()} steps")
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        bar = "#" * max(int(count > 0), round(40 * count / counts.max()))
        console.print(f"  {low:5.0f}-{high:<5.0f} {count:5d} {bar}", highlight=False)
