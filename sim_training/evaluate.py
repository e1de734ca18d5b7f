# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation with fixed seeds and a fixed number of episodes: success, interval, phases, lengths.

Episode i starts from seed + i and draws its denoising noise from a generator of its own, so the
result does not depend on how many environments run side by side.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dppo_ros.core.errors import ConfigError, DppoError
from dppo_ros.core.spec import first_difference
from dppo_ros.html_page import write_whole
from sim_training.config import EvalConfig, EvaluateConfig
from sim_training.config_file import to_plain
from sim_training.distributed import ALONE, World
from sim_training.envs.chunk import ChunkEnv, ChunkSettings
from sim_training.envs.make import EnvConfig, make_env_config, make_step_env
from sim_training.envs.protocol import ChunkStep, Float32Array, IntArray, Observation, StepEnv
from sim_training.envs.seeds import SeedList
from sim_training.episodes import Act, EpisodeNoise, run_episodes
from sim_training.evaluation_folder import evaluation_folder, variant_name, weights_hash
from sim_training.evaluation_result import EvaluationResult, print_result
from sim_training.networks.observation import to_tensors
from sim_training.policies.header import PolicyHeader
from sim_training.policies.make import TrainablePolicy
from sim_training.policies.protocol import LogProbReduction
from sim_training.policy_loading import load_policy, with_chain_options
from sim_training.train import EvaluationScore

logger = logging.getLogger(__name__)


def evaluate_policy(
    policy: TrainablePolicy,
    env: ChunkEnv,
    n_episodes: int,
    stochastic: bool = False,
    use_base_policy: bool = False,
    on_step: Callable[[ChunkStep], None] | None = None,
) -> EvaluationResult:
    """Run an environment until its seed list is used up and return what happened.

    Args:
        policy: evaluated deterministically unless `stochastic`.
        env: must have been made with a `SeedList` of n_episodes seeds.
        n_episodes: number of episodes to expect.
        stochastic: keep the exploration noise of training.
        use_base_policy: run the frozen network at all steps.
        on_step: called after every chunk.
    """
    started = time.perf_counter()
    act = policy_act(policy, env.n_envs, env.act_steps, stochastic, use_base_policy)
    episodes = run_episodes(env, act, n_episodes, on_step)
    settings = {
        **policy.describe(),
        "stochastic": stochastic,
        "use_base_policy": use_base_policy,
        "n_envs": env.n_envs,
    }
    elapsed = time.perf_counter() - started
    return EvaluationResult(env.step_env.name, env.phase_names, episodes, elapsed, settings)


def policy_act(
    policy: TrainablePolicy,
    n_envs: int,
    act_steps: int,
    stochastic: bool = False,
    use_base_policy: bool = False,
) -> Act:
    """Return a policy as a function of observations and seeds; arguments as `evaluate_policy`."""
    shape = policy.shape
    noise_source = EpisodeNoise(
        (policy.noise_blocks, shape.horizon_steps, shape.action_dim), n_envs
    )
    device = next(policy.parameters()).device
    whole = LogProbReduction(shape.horizon_steps)

    def act(observation: Observation, seeds: IntArray) -> Float32Array:
        seen = to_tensors(observation, device)
        noise = torch.from_numpy(noise_source.draw(seeds)).to(device)
        if stochastic:
            chunk = policy.sample(seen, noise, whole, use_base_policy).chunk
        else:
            chunk = policy.act(seen, noise, use_base_policy)
        return np.asarray(chunk[:, :act_steps].cpu().numpy())

    return act


def chunk_settings(header: PolicyHeader) -> ChunkSettings:
    """Return how a policy's observations and actions cross the environment boundary."""
    return ChunkSettings(
        observation_normalizer=header.observation_normalizer,
        action_normalizer=header.action_normalizer,
        act_steps=header.shape.act_steps,
        cond_steps=header.shape.cond_steps,
        observation_clip=header.observation_clip,
        cameras=header.shape.cameras,
        image_size_px=header.shape.image_size_px,
        img_cond_steps=header.shape.img_cond_steps,
    )


def make_eval_env(
    header: PolicyHeader, env: EnvConfig, config: EvalConfig, threads: int
) -> ChunkEnv:
    """Return an environment that will run exactly the configured episodes."""
    n_envs = min(config.n_envs, config.n_episodes)
    seeds = SeedList(range(config.seed, config.seed + config.n_episodes))
    step_env = open_task(header, env, n_envs, threads)
    try:
        return ChunkEnv(step_env, chunk_settings(header), seeds)
    except DppoError:
        step_env.close()
        raise


def open_task(header: PolicyHeader, env: EnvConfig, n_envs: int, threads: int) -> StepEnv:
    """Return environments of a task that a policy can act in.

    Raises:
        ConfigError: the numbers that the task shows or takes mean something else to the policy.
    """
    step_env = make_step_env(env, n_envs, threads)
    for what, mine, theirs in (
        ("observation", header.observation_spec, step_env.observation_spec),
        ("action", header.action_spec, step_env.action_spec),
    ):
        difference = first_difference(mine, theirs)
        if difference:
            step_env.close()
            raise ConfigError(
                f"task {env.name!r} has another {what} than the policy, which was trained on "
                f"{header.task!r}: {difference}; leave env.name out, or use that task"
            )
    return step_env


class TaskEvaluator:
    """Scores policies during training, an `Evaluator`, always on the same episodes.

    With several processes each of them runs some of the episodes and all know the result.
    """

    def __init__(
        self,
        header: PolicyHeader,
        env: EnvConfig,
        config: EvalConfig,
        threads: int,
        world: World = ALONE,
    ) -> None:
        """Open the simulator; `close` it when the run is over.

        Raises:
            ConfigError: the policy is of another task.
        """
        first, last = config.seed, config.seed + config.n_episodes
        self._episodes = range(first + world.rank, last, world.size)
        self._header, self._world = header, world
        n_envs = -(-min(config.n_envs, config.n_episodes) // world.size)
        self._step_env = open_task(header, env, n_envs, threads)

    def __call__(self, policy: TrainablePolicy) -> EvaluationScore:
        """Return metrics and rank of a policy."""
        seeds = SeedList(self._episodes)
        chunk_env = ChunkEnv(self._step_env, chunk_settings(self._header), seeds)
        part = evaluate_policy(policy, chunk_env, len(self._episodes))
        result = part.joined(self._world.gather(part.episodes))
        phases = sum(result.phase_reached().values())
        rank = (result.success_rate, result.mean(lambda e: e.reward), phases)
        return EvaluationScore(result.metrics(), rank)

    def close(self) -> None:
        """Release the simulator."""
        self._step_env.close()


def run_evaluate(config: EvaluateConfig) -> int:
    """`dppo eval`: evaluate, print tables, write evaluation.json (and videos)."""
    if config.torch_threads > 0:
        torch.set_num_threads(config.torch_threads)
    loaded = load_policy(config.policy, config.weights)
    folder = config.out or evaluation_folder(loaded.checkpoint.path, _variant(config))
    folder.mkdir(parents=True, exist_ok=True)
    policy, header = loaded.policy, loaded.header
    policy = with_chain_options(policy, config.ddim_steps, config.eta)
    env_config = config.env if config.env is not None else make_env_config(header.env)
    env = make_eval_env(header, env_config, config.eval, config.env_threads)
    try:
        result = evaluate_policy(
            policy, env, config.eval.n_episodes, config.stochastic, config.use_base_policy
        )
    finally:
        env.close()
    report = {
        **result.to_json(),
        "env": header.env if config.env is None else to_plain(config.env),
        "checkpoint": loaded.checkpoint.path.name,
        "weights_sha256": weights_hash(loaded.checkpoint.path),
        "iteration": loaded.checkpoint.iteration,
        "weights": loaded.weights,
        "finetuned": header.finetuned,
        "first_seed": config.eval.seed,
    }
    path = folder / "evaluation.json"
    _write(path, report)
    print_result(result)
    print(path)
    if config.eval.video_episodes:
        film = _film(policy, header, env_config, config, result, folder)
        if film is not None:
            _write(path, {**report, "film": film})
    return 0


def _variant(config: EvaluateConfig) -> str:
    return variant_name(
        config.ddim_steps, config.eta, config.weights, config.stochastic, config.use_base_policy
    )


def _write(path: Path, report: dict[str, Any]) -> None:
    write_whole(path, json.dumps(report, indent=1) + "\n")


def _film(
    policy: TrainablePolicy,
    header: PolicyHeader,
    env_config: EnvConfig,
    config: EvaluateConfig,
    result: EvaluationResult,
    folder: Path,
) -> dict[str, Any] | None:
    """Film the first episodes; whatever goes wrong there, the evaluation stands."""
    first = config.eval.seed
    seeds = range(first, first + min(config.eval.video_episodes, config.eval.n_episodes))

    def run_episode(env: StepEnv, seed: int) -> None:
        chunk_env = ChunkEnv(env, chunk_settings(header), SeedList([seed]))
        evaluate_policy(policy, chunk_env, 1, config.stochastic, config.use_base_policy)

    try:
        from sim_training.video import film_episodes, film_report

        films = film_episodes(
            lambda: make_step_env(env_config, 1, config.env_threads), run_episode, seeds, folder
        )
        report = film_report(films, result.episodes, folder)
    except Exception as error:  # drivers and codecs fail in many ways, each of a type of its own
        logger.warning("no video: %s", " ".join(str(error).split()) or type(error).__name__)
        return None
    for film in films:
        print(folder / f"episode_{film.seed}.mp4")
    print(folder / report["strip"])
    return report
