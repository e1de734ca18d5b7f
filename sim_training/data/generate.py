# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo data generate``: demonstrations of the scripted experts.

Because the experts are memoryless, they can be led off their path on purpose: by random pushes
(``recovery_rate``) or by letting a policy drive now and then (``policy``). Those steps are not
recorded; the expert's way back starts a new trajectory, so that every recorded chunk is clean and
the data also covers where a policy may end up.

Torch is imported only when a policy drives; never rclpy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from dppo_ros.core.errors import ConfigError, DataError
from sim_training.checks import require_at_least
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.data.joining import extendable, join
from sim_training.data.perturbation import (
    Perturbation,
    PolicyBursts,
    RandomPushes,
    Undisturbed,
)
from sim_training.data.recording import FinishedEpisode, Recording
from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.experts import EXPERTS
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.run_progress import RunProgress

SEED_STRIDE = 1_000_003
"""Episode i of ``seed`` s starts from environment seed s * stride + i."""


@dataclass(frozen=True)
class GenerateConfig:
    """Record demonstrations of an assembly: the scripted expert drives, successes are kept.

    Attributes:
        task: task with a scripted expert.
        randomness: start-state level.
        starts: start-state distribution.
        episodes: successful episodes to record.
        seed: first seed; the same seed gives the same data.
        out: dataset folder; default ``data/<task>_<randomness>``.
        recovery_rate: chance per control step that a disturbance begins (0: clean episodes).
        recovery_translation_m: largest push of the tool goal along each axis.
        recovery_rotation_rad: largest turn of the tool goal about each axis.
        policy: checkpoint that drives in bursts between the expert's recordings.
        policy_rate: chance per control step that such a burst begins.
        policy_chunks: longest burst, in action chunks.
        add_to: dataset whose trajectories the new one takes over.
        n_envs: cells simulated side by side.
        threads: simulation threads.
        overwrite: replace an existing dataset.
    """

    task: Literal["one_leg", "lamp", "round_table"] = "one_leg"
    randomness: Literal["low", "med"] = "low"
    starts: Literal["uniform", "pushed"] = "uniform"
    episodes: int = 50
    seed: int = 0
    out: Path | None = None
    recovery_rate: float = 0.0
    recovery_translation_m: float = 0.03
    recovery_rotation_rad: float = 0.15
    policy: Path | None = None
    policy_rate: float = 0.03
    policy_chunks: int = 6
    add_to: Path | None = None
    n_envs: int = 25
    threads: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, self, "episodes", "n_envs", "threads")
        require_at_least(0, self, "seed")
        if not 0.0 <= self.recovery_rate <= 0.2:
            raise ConfigError(f"recovery_rate = {self.recovery_rate}, must be in [0, 0.2]")
        if not 0.0 < self.policy_rate <= 0.2 or self.policy_chunks < 1:
            raise ConfigError(
                f"policy_rate = {self.policy_rate} must be in (0, 0.2] and "
                f"policy_chunks = {self.policy_chunks} at least 1"
            )
        if self.policy is not None and self.recovery_rate > 0:
            raise ConfigError("choose either policy or recovery_rate, not both")


def generate(config: GenerateConfig, console: Console | None = None) -> Path:
    """Record demonstrations and print success rate and lengths; returns the dataset folder.

    Ctrl-C keeps what is finished, in a folder of its own beside ``out``.

    Raises:
        DataError: the folder is taken, the data to add to does not fit, or the expert failed far
            too often.
        KeyboardInterrupt: interrupted; the message says what was kept and how to go on.
    """
    console = console or Console()
    out = config.out or Path("data") / f"{config.task}_{config.randomness}"
    if (out / "dataset.json").exists() and not config.overwrite:
        raise DataError(f"{out} already holds a dataset; choose another --out or pass --overwrite")
    earlier = None if config.add_to is None else extendable(config.add_to, config.task)
    _try_folder(out)
    n_envs = min(config.n_envs, config.episodes)
    settings = FurnitureConfig(name=config.task, randomness=config.randomness, starts=config.starts)
    env = make_mujoco_env(settings, n_envs, config.threads)
    recorder = _Recorder(env, config)
    interrupted = False
    with RunProgress("demonstrations", config.episodes, 0) as progress:
        try:
            recorder.run(progress.advance)
        except KeyboardInterrupt:
            if not recorder.good:
                raise
            interrupted, out = True, _free_part(out)
    finished = sorted(recorder.finished, key=lambda episode: episode.seed)
    good = [episode for episode in finished if episode.success][: config.episodes]
    _print_summary(env.phase_names, finished, good, console)
    dataset = _dataset(env, config, finished, good)
    if earlier is not None:
        dataset = join(earlier, dataset)
    folder = write_dataset(out, dataset, overwrite=config.overwrite)
    console.print(f"wrote {len(dataset.states)} frames to {folder}")
    if interrupted:
        raise KeyboardInterrupt(
            f"interrupted: {len(good)} of {config.episodes} episodes are in {folder}. To go on, the"
            f" same command with --episodes {config.episodes - len(good)} --seed {config.seed + 1}"
            f" --add-to {folder}"
        )
    return folder


def _free_part(out: Path) -> Path:
    """Return a new name for a part of a dataset, which must not pass for the whole."""
    names = (f"{out.name}_part{number}" for number in itertools.count(1))
    return next(path for path in map(out.with_name, names) if not path.exists())


def _perturbation(config: GenerateConfig, n_envs: int) -> Perturbation:
    if config.policy is not None:
        from sim_training.data.chunk_policy import TrainedChunkPolicy

        policy = TrainedChunkPolicy(config.policy, config.task, config.seed)
        return PolicyBursts(policy, config.policy_rate, config.policy_chunks, n_envs, config.seed)
    if config.recovery_rate > 0:
        return RandomPushes(
            config.recovery_rate,
            config.recovery_translation_m,
            config.recovery_rotation_rad,
            n_envs,
            config.seed,
        )
    return Undisturbed()


def _try_folder(out: Path) -> None:
    """Raise now, while nothing is lost, if the folder cannot be made."""
    existed = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    if not existed:
        out.rmdir()


class _Recorder:
    """Runs episodes with consecutive seeds until enough of them succeeded."""

    def __init__(self, env: FurnitureEnv[MujocoSimulation], config: GenerateConfig) -> None:
        self._env, self._config = env, config
        self._expert = EXPERTS[config.task]
        self._perturbation = _perturbation(config, env.n_envs)
        self._next_seed = config.seed * SEED_STRIDE
        self._limit = self._next_seed + 10 * config.episodes + 20
        self._running: list[Recording] = [Recording(0, [[]], [[]]) for _ in range(env.n_envs)]
        self._observations = np.zeros((env.n_envs, env.observation_spec.dim), dtype=np.float32)
        self._active = np.zeros(env.n_envs, dtype=bool)
        self.finished: list[FinishedEpisode] = []

    @property
    def good(self) -> int:
        """Episodes worth keeping so far."""
        return sum(episode.success for episode in self.finished)

    def run(self, report: Callable[[int], None]) -> None:
        """Record, until enough episodes are among the finished ones.

        Raises:
            DataError: the expert failed nine times as often as it succeeded.
        """
        for index in range(self._env.n_envs):
            self._start(index)
        while self._active.any():
            self._step()
            report(self.good)
        if self.good < self._config.episodes:
            raise DataError(
                f"the expert succeeded in {self.good} of {len(self.finished)} episodes; lower "
                f"recovery_rate ({self._config.recovery_rate}) or policy_rate"
            )

    def _start(self, index: int) -> None:
        self._running[index] = Recording(self._next_seed, [[]], [[]])
        seeds = np.array([self._next_seed])
        self._observations[index] = self._env.reset(np.array([index]), seeds)[0]
        self._perturbation.restart(index)
        self._active[index] = True
        self._next_seed += 1

    def _step(self) -> None:
        active = self._active
        actions = np.zeros((self._env.n_envs, self._env.action_spec.dim), dtype=np.float32)
        actions[active] = self._expert(self._observations[active])
        executed, disturbed = self._perturbation.apply(self._observations, actions, active)
        for index in np.flatnonzero(active):
            self._running[index].add(self._observations[index], actions[index], disturbed[index])
        outcome = self._env.step(executed, active)
        self._observations = outcome.observation
        for index in np.flatnonzero(outcome.terminated | outcome.truncated):
            recording = self._running[index]
            success = bool(outcome.info["success"][index]) and recording.is_calm()
            phase = int(outcome.info["phase"][index])
            self.finished.append(
                FinishedEpisode(recording.seed, success, recording.steps, phase, recording)
            )
            active[index] = False
        for index in np.flatnonzero(~active):
            wanted = self._config.episodes - self.good - int(active.sum())
            if wanted > 0 and self._next_seed < self._limit:
                self._start(int(index))


def _dataset(
    env: FurnitureEnv[MujocoSimulation],
    config: GenerateConfig,
    finished: list[FinishedEpisode],
    good: list[FinishedEpisode],
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
            "starts": config.starts,
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


def _print_summary(
    phase_names: tuple[str, ...],
    finished: list[FinishedEpisode],
    good: list[FinishedEpisode],
    console: Console,
) -> None:
    total = len(finished)
    wins = sum(e.success for e in finished)
    console.print(f"expert: {wins} of {total} episodes assembled ({wins / total:.1%})")
    failures = [e for e in finished if not e.success]
    for phase, name in enumerate(phase_names):
        count = sum(e.phase == phase for e in failures)
        if count:
            console.print(f"  {count} ended at phase '{name}'")
    lengths = np.array([e.steps for e in good])
    counts, edges = np.histogram(lengths, bins=min(10, max(1, len(set(lengths)))))
    console.print(f"episode length: median {int(np.median(lengths))}, max {lengths.max()} steps")
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        bar = "#" * max(int(count > 0), round(40 * count / counts.max()))
        console.print(f"  {low:5.0f}-{high:<5.0f} {count:5d} {bar}", highlight=False)
