# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collecting one iteration of experience with a policy, and counting its episodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from sim_training.distributed import ALONE, World
from sim_training.envs.protocol import BoolArray, ChunkStep, Observation, VectorEnv
from sim_training.metrics import FIRST_EPISODES, Metrics
from sim_training.networks.observation import to_tensors
from sim_training.policies.protocol import LogProbReduction, Policy
from sim_training.rl.buffers import RolloutBuffer


@dataclass
class EpisodeStatistics:
    """Episodes that ended within one iteration.

    With a reset at every iteration the finished episodes are a biased sample (quick successes are
    counted more often), so the outcome of each environment's first episode is kept as well; one
    that did not finish counts as a failure. An episode that a failing simulator lost counts as
    none; the one after it takes its place.
    """

    n_envs: int
    rewards: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    successes: list[bool] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)
    env_steps: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    """Episodes that the simulator "lost" or that "diverged", where it tells."""

    def __post_init__(self) -> None:
        """Nothing has ended yet."""
        self._first_open: BoolArray = np.ones(self.n_envs, dtype=bool)
        self._first_success: BoolArray = np.zeros(self.n_envs, dtype=bool)

    def add(self, outcome: ChunkStep) -> None:
        """Take in one chunk step."""
        info = outcome.info
        self.env_steps += int(info["steps"].sum())
        lost = info.get("lost", np.zeros(self.n_envs, dtype=bool))
        self._first_success |= self._first_open & info["success"]
        self._first_success &= ~(self._first_open & lost)
        self._first_open &= ~outcome.ended | lost
        for name in ("lost", "diverged"):
            if name in info:
                self.failures[name] = self.failures.get(name, 0) + int(info[name].sum())
        for i in np.flatnonzero(outcome.ended & ~lost):
            self.rewards.append(float(info["episode_reward"][i]))
            self.lengths.append(int(info["episode_steps"][i]))
            self.successes.append(bool(info["success"][i]))
            self.phases.append(int(info["phase"][i]))

    def of_all(self, world: World) -> EpisodeStatistics:
        """Return the episodes of all processes."""
        if world.size == 1:
            return self
        everywhere = EpisodeStatistics(self.n_envs * world.size)
        parts = world.gather(self)
        for part in parts:
            everywhere.rewards += part.rewards
            everywhere.lengths += part.lengths
            everywhere.successes += part.successes
            everywhere.phases += part.phases
            everywhere.env_steps += part.env_steps
            for name, count in part.failures.items():
                everywhere.failures[name] = everywhere.failures.get(name, 0) + count
        everywhere._first_success = np.concatenate([part._first_success for part in parts])
        return everywhere

    def metrics(self, fresh_start: bool) -> Metrics:
        """Return the summary; first-episode success only after a reset of all environments."""
        metrics: Metrics = {"charts/episodes": float(len(self.rewards))}
        for name, count in self.failures.items():
            metrics[f"charts/{name}_episodes"] = float(count)
        if self.rewards:
            metrics["charts/episodic_return"] = float(np.mean(self.rewards))
            metrics["charts/episodic_length"] = float(np.mean(self.lengths))
            metrics["charts/success_rate"] = float(np.mean(self.successes))
            metrics["charts/mean_phase"] = float(np.mean(self.phases))
        if fresh_start:
            metrics[FIRST_EPISODES] = float(self._first_success.mean())
        return metrics


@dataclass(frozen=True)
class RolloutResult:
    """What `collect_rollout` returns besides the filled buffer.

    Attributes:
        observation: to continue from.
        metrics: episode statistics of all processes, and times of this one.
        env_steps: control steps executed, over all environments of all processes.
        completed: False if `stop` asked to give up.
    """

    observation: Observation
    metrics: Metrics
    env_steps: int
    completed: bool


@dataclass(frozen=True)
class RolloutSettings:
    """How the log-probabilities of a rollout are reduced, and where its noise comes from.

    Attributes:
        reduction: from log-densities to one number per transition.
        generator: of exploration noise.
        device: of the networks.
        world: the processes among which the environments are shared out.
    """

    reduction: LogProbReduction
    generator: torch.Generator
    device: str
    world: World = ALONE


@torch.no_grad()
def collect_rollout(
    env: VectorEnv,
    policy: Policy,
    buffer: RolloutBuffer,
    start: Observation | None,
    settings: RolloutSettings,
    stop: Callable[[], bool],
) -> RolloutResult:
    """Fill a buffer with M chunk steps of N environments.

    The log-probabilities of the fine-tuned transitions are taken while sampling: the networks
    run once, and the frozen one only on the steps that it owns.

    Args:
        env: environments with automatic reset.
        policy: acts stochastically.
        buffer: overwritten.
        start: observation to continue from; None resets every environment first.
        settings: see `RolloutSettings`.
        stop: asked before every step; True gives up.
    """
    fresh = start is None
    observation = env.reset() if start is None else start
    share = settings.world.share(env.n_envs * settings.world.size)
    statistics = EpisodeStatistics(env.n_envs)
    buffer.first[0] = torch.from_numpy(env.at_start)
    buffer.final.clear()
    sampling = simulating = 0.0
    steps = len(buffer.reward)
    for m in range(steps):
        if stop():
            return RolloutResult(observation, {}, statistics.env_steps, completed=False)
        begun = time.perf_counter()
        seen = to_tensors(observation, settings.device)
        noise = policy.draw_noise(share.total, settings.generator)
        noise = share.of(noise).to(settings.device)
        sample = policy.sample(seen, noise, settings.reduction)
        for name, value in seen.items():
            buffer.observation[name][m] = value
        buffer.chain[m] = sample.chain
        buffer.log_prob[m] = sample.log_prob
        chunk = sample.chunk[:, : env.act_steps].cpu().numpy()
        sampled = time.perf_counter()
        outcome = env.step(chunk)
        simulating += time.perf_counter() - sampled
        sampling += sampled - begun
        _record(buffer, m, outcome)
        statistics.add(outcome)
        observation = outcome.observation
    for name, value in to_tensors(observation, settings.device).items():
        buffer.observation[name][steps] = value
    statistics = statistics.of_all(settings.world)
    metrics = statistics.metrics(fresh)
    metrics |= {"time/sampling_s": sampling, "time/simulation_s": simulating}
    return RolloutResult(observation, metrics, statistics.env_steps, completed=True)


def _record(buffer: RolloutBuffer, m: int, outcome: ChunkStep) -> None:
    ended = torch.from_numpy(outcome.ended)
    buffer.reward[m] = torch.from_numpy(outcome.reward)
    buffer.terminated[m] = torch.from_numpy(outcome.terminated)
    buffer.truncated[m] = torch.from_numpy(outcome.truncated)
    buffer.failed[m] = torch.from_numpy(outcome.failed)
    if outcome.truncated.any():
        final = to_tensors(outcome.final_observation, buffer.reward.device)
        buffer.final.add(
            m * len(outcome.ended), final, torch.from_numpy(outcome.truncated).nonzero().squeeze(1)
        )
    if m + 1 < len(buffer.first):
        buffer.first[m + 1] = ended
