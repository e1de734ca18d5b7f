# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo data generate hopper-medium``: data of a mediocre policy, made without any download.

As for the D4RL "medium" sets, a policy is trained from random weights until it is about a third as
good as a good one, then recorded with its exploration noise. It is a Gaussian policy trained by
PPO, with the training loop and algorithm that serve fine-tuning.

Both stages can be repeated: an interrupted training continues from its newest checkpoint, a
finished one is not repeated, and the recording (under a minute) always starts from its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from dppo_ros.core.errors import ConfigError, DataError, unknown_name_message
from dppo_ros.paths import share_directory
from sim_training.checkpoint import numbered_checkpoints
from sim_training.config import FinetuneConfig
from sim_training.config_file import load_config, to_plain
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.envs.chunk import ChunkEnv
from sim_training.envs.make import make_step_env
from sim_training.envs.recording import RecordedEpisode, RecordingEnv
from sim_training.envs.seeds import SeedStream
from sim_training.evaluate import chunk_settings
from sim_training.finetune import run_finetune
from sim_training.networks.observation import to_tensors
from sim_training.policies.protocol import LogProbReduction
from sim_training.policy_loading import LoadedPolicy, load_policy
from sim_training.run_progress import RunProgress

MEDIUM_TASKS = ("hopper", "walker2d", "halfcheetah")
_SUFFIX = "-medium"


@dataclass(frozen=True)
class MediumConfig:
    """Train a behaviour policy to medium level and record it.

    Attributes:
        steps: control steps to record.
        seed: of the training and of the recording; the same seed gives the same data.
        out: dataset folder; default ``data/<task>_medium``.
        behaviour: settings of the behaviour policy's training; default
            ``config/train/gym/behaviour_<task>.yaml``.
        behaviour_dir: run directory of that training; default ``runs/behaviour_<task>_seed<seed>``.
        n_envs: environments recorded side by side.
        threads: simulation threads.
        overwrite: replace an existing dataset (not the behaviour policy).
    """

    steps: int = 200_000
    seed: int = 0
    out: Path | None = None
    behaviour: Path | None = None
    behaviour_dir: Path | None = None
    n_envs: int = 20
    threads: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse a recording of nothing."""
        if self.steps < 1 or self.n_envs < 1:
            raise ConfigError(
                f"steps = {self.steps} and n_envs = {self.n_envs} must both be at least 1"
            )


def medium_names() -> tuple[str, ...]:
    """Return the datasets that can be asked for."""
    return tuple(task + _SUFFIX for task in MEDIUM_TASKS)


def generate_medium(name: str, config: MediumConfig, console: Console | None = None) -> Path:
    """Train or take up the behaviour policy, record it, and return the dataset folder.

    Args:
        name: such as "hopper-medium".
        config: see `MediumConfig`.
        console: where the summary goes.

    Raises:
        ConfigError: unknown name, or settings that do not train this task from random weights.
        DataError: the folder is taken, or training did not reach medium level.
    """
    if name not in medium_names():
        raise ConfigError(unknown_name_message("dataset", name, medium_names()))
    task = name.removesuffix(_SUFFIX)
    out = config.out or Path("data") / f"{task}_medium"
    if (out / "dataset.json").exists() and not config.overwrite:
        raise DataError(f"{out} already holds a dataset; choose another --out or pass --overwrite")
    console = console or Console()
    behaviour = _behaviour_config(task, config)
    run_finetune(behaviour)
    loaded = load_policy(behaviour.run.run_dir, prefer_best=False)
    reached = _training_return(behaviour, loaded)
    with RunProgress("recording", config.steps, 0) as progress:
        episodes = record(loaded, behaviour, config, progress.advance)
    dataset = _dataset(name, config, behaviour, loaded, episodes)
    returns = dataset.metadata["returns"]
    console.print(
        f"behaviour policy: return {reached:.0f} after {loaded.checkpoint.iteration} iterations"
    )
    console.print(
        f"{returns['episodes']} whole episodes, return {returns['mean']:.0f} +- "
        f"{returns['std']:.0f} ({returns['least']:.0f} to {returns['greatest']:.0f})"
    )
    folder = write_dataset(out, dataset, overwrite=config.overwrite)
    console.print(f"wrote {len(dataset.states)} frames to {folder}")
    return folder


def _behaviour_config(task: str, config: MediumConfig) -> FinetuneConfig:
    """Return the settings of the behaviour policy's training; an earlier run is taken up."""
    path = config.behaviour or (
        share_directory() / "config" / "train" / "gym" / f"behaviour_{task}.yaml"
    )
    behaviour = load_config(path, FinetuneConfig())
    if behaviour.env.name != task or behaviour.base_policy is not None:
        raise ConfigError(
            f"{path} trains {behaviour.env.name!r} from {behaviour.base_policy}; it must train "
            f"{task!r} from random weights (base_policy: null)"
        )
    folder = config.behaviour_dir or Path("runs") / f"behaviour_{task}_seed{config.seed}"
    run = replace(
        behaviour.run,
        run_dir=folder,
        seed=config.seed,
        env_threads=config.threads,
        resume=bool(numbered_checkpoints(folder)),
    )
    return replace(behaviour, run=run)


def _training_return(behaviour: FinetuneConfig, loaded: LoadedPolicy) -> float:
    """Return the mean return of the last training episodes, refusing less than was asked for."""
    recent = loaded.checkpoint.loop.get("recent_returns") or [float("-inf")]
    mean, target = float(np.mean(recent)), behaviour.run.stop_at_return
    if target is not None and mean < target:
        raise DataError(
            f"{behaviour.run.run_dir} reached a return of {mean:.0f} in {behaviour.n_train_itr} "
            f"iterations, short of run.stop_at_return {target:.0f}; try another --seed"
        )
    return mean


def record(
    loaded: LoadedPolicy,
    behaviour: FinetuneConfig,
    config: MediumConfig,
    report: Callable[[int], None],
) -> list[RecordedEpisode]:
    """Return episodes of a policy that explores as in training, cut after `config.steps`.

    Args:
        loaded: the policy.
        behaviour: its training's settings; names the task.
        config: how much to record, from which seed.
        report: called with the number of control steps so far.
    """
    policy, header = loaded.policy, loaded.header
    tape = RecordingEnv(make_step_env(behaviour.env, config.n_envs, config.threads), 1.0)
    # A seed of its own: the recorded episodes are not those of the training.
    env = ChunkEnv(tape, chunk_settings(header), SeedStream(config.seed + 1))
    generator = torch.Generator().manual_seed(config.seed)
    whole = LogProbReduction(header.shape.horizon_steps)
    try:
        observation = env.reset()
        while tape.frames < config.steps:
            noise = policy.draw_noise(env.n_envs, generator)
            chunk = policy.sample(to_tensors(observation, "cpu"), noise, whole).chunk
            observation = env.step(chunk[:, : env.act_steps].numpy()).observation
            report(tape.frames)
        return tape.stop()
    finally:
        env.close()


def _dataset(
    name: str,
    config: MediumConfig,
    behaviour: FinetuneConfig,
    loaded: LoadedPolicy,
    episodes: list[RecordedEpisode],
) -> EpisodeDataset:
    """Return the dataset; trajectories without positive total reward are left out, as in D4RL."""
    kept = [episode for episode in episodes if episode.total_reward > 0.0]
    returns = np.array([episode.total_reward for episode in kept if episode.finished])
    if not len(returns):
        raise DataError(
            f"none of {len(episodes)} recorded episodes ended with a positive return; record more "
            f"steps than {config.steps}, or train the behaviour policy longer"
        )
    lengths = np.array([len(episode.rewards) for episode in kept], dtype=np.int64)
    terminals = np.zeros(int(lengths.sum()), dtype=bool)
    terminals[np.cumsum(lengths) - 1] = [episode.terminated for episode in kept]
    header = loaded.header
    metadata: dict[str, Any] = {
        "name": name,
        "task": header.task,
        "fps": header.control_rate_hz,
        "seeds": [episode.seed for episode in kept],
        "returns": {
            "episodes": len(returns),
            "mean": float(returns.mean()),
            "std": float(returns.std()),
            "least": float(returns.min()),
            "greatest": float(returns.max()),
        },
        "dropped_trajectories": len(episodes) - len(kept),
        "generator": {
            "command": f"dppo data generate {name}",
            "steps": config.steps,
            "seed": config.seed,
            "n_envs": config.n_envs,
            "behaviour_iterations": loaded.checkpoint.iteration,
            "behaviour": _without_paths(to_plain(behaviour)),
        },
    }
    return EpisodeDataset(
        states=np.concatenate([episode.states for episode in kept]),
        actions=np.concatenate([episode.actions for episode in kept]),
        traj_lengths=lengths,
        observation_spec=header.observation_spec,
        action_spec=header.action_spec,
        metadata=metadata,
        rewards=np.concatenate([episode.rewards for episode in kept]),
        terminals=terminals,
    )


def _without_paths(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "run": {k: v for k, v in settings["run"].items() if k != "run_dir"}}
