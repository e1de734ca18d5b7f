# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Diffusion policy policy optimisation: PPO over the last denoising steps of a pre-trained policy.

Source: Ren et al., "Diffusion Policy Policy Optimization", ICLR 2025. Where this differs from the
authors' code on purpose:

* old log-probabilities come from the rollout; the frozen network never runs in an update;
* the value function is fitted on each chunk once per epoch (the reference repeats every chunk once
  per denoising step), in as many minibatches as the policy;
* time limits bootstrap from the true last observation (switch: `truncation`);
* a single fine-tuned step is allowed (the reference divides zero by zero there).

Legend: M chunk steps, N environments, K fine-tuned denoising steps, P pairs in a minibatch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.algorithms.config import DppoConfig, ScheduleConfig
from sim_training.checkpoint import load_module, module_tensors
from sim_training.envs.protocol import Observation, VectorEnv
from sim_training.learning_rate import learning_rate, set_learning_rate
from sim_training.metrics import Metrics
from sim_training.networks.critic import StateCritic
from sim_training.networks.observation import TensorObservation, batch_size, take
from sim_training.policies.make import TrainablePolicy
from sim_training.policies.protocol import LogProbReduction
from sim_training.rl.buffers import make_rollout_buffer
from sim_training.rl.experience import Experience, make_experience
from sim_training.rl.reward_scaling import RunningRewardScaling
from sim_training.rl.rollout import RolloutSettings, collect_rollout
from sim_training.rl.targets import (
    clip_coefficients,
    denoising_discounts,
    explained_variance,
    ppo_policy_loss,
    shape_advantages,
    value_loss,
)
from sim_training.rl.update_statistics import UpdateStatistics
from sim_training.train import CollectionInterrupted


class Dppo:
    """One iteration: M chunk steps in N environments, then PPO epochs over (chunk, step) pairs."""

    name = "dppo"

    def __init__(
        self,
        config: DppoConfig,
        policy: TrainablePolicy,
        critic: StateCritic,
        env: VectorEnv,
        n_train_itr: int,
        seed: int,
    ) -> None:
        """Prepare optimisers, storage and coefficients.

        Args:
            config: settings.
            policy: with a fine-tuned copy (`start_finetuning` was called).
            critic: state-value network.
            env: training environments.
            n_train_itr: iterations of the whole run.
            seed: of exploration noise and minibatch order.

        Raises:
            ConfigError: the policy has nothing to fine-tune.
        """
        positions = policy.ft_positions
        if policy.actor_ft is None or positions < 1:
            raise ConfigError(
                f"diffusion.ft_denoising_steps is {positions}; fine-tuning needs at least 1"
            )
        self.config = config
        self.policy = policy
        self.critic = critic
        self.env = env
        self.actor = policy.actor_ft
        self.device = str(next(critic.parameters()).device)
        self.iteration = 0
        self.env_steps = 0
        self._n_train_itr = n_train_itr
        self._generator = torch.Generator().manual_seed(seed)
        self._observation: Observation | None = None
        self._buffer = make_rollout_buffer(
            config.n_steps, env.n_envs, policy.shape, positions, self.device
        )
        self._scaling = RunningRewardScaling(env.n_envs)
        self._clip = clip_coefficients(
            config.clip_ploss_coef,
            config.clip_ploss_coef_base,
            config.clip_ploss_coef_rate,
            positions,
        ).to(self.device)
        self._discount = denoising_discounts(config.gamma_denoising, positions).to(self.device)
        self._reduction = LogProbReduction(
            config.reward_horizon or policy.shape.act_steps, config.logprob_reduction
        )
        self.actor_optimizer = torch.optim.AdamW(
            self.actor.parameters(),
            lr=config.actor_schedule.lr,
            weight_decay=config.actor_weight_decay,
        )
        self.critic_optimizer = torch.optim.AdamW(
            critic.parameters(),
            lr=config.critic_schedule.lr,
            weight_decay=config.critic_weight_decay,
        )

    @property
    def total_iterations(self) -> int:
        """Iterations of the whole run."""
        return self._n_train_itr

    def evaluation_policy(self) -> TrainablePolicy:
        """Return the policy being trained."""
        return self.policy

    def collect(self, stop: Callable[[], bool]) -> Metrics:
        """Roll out M chunk steps; an interrupted rollout is undone."""
        before = (self._generator.get_state(), self.env.state_dict())
        start = None if self.config.reset_at_iteration else self._observation
        settings = RolloutSettings(self._reduction, self._generator, self.device)
        begun = time.perf_counter()
        result = collect_rollout(self.env, self.policy, self._buffer, start, settings, stop)
        if not result.completed:
            self._generator.set_state(before[0])
            self.env.load_state_dict(before[1])
            raise CollectionInterrupted
        self._observation = result.observation
        self.env_steps += result.env_steps
        elapsed = time.perf_counter() - begun
        return {
            **result.metrics,
            "charts/global_step": float(self.env_steps),
            "charts/SPS": result.env_steps / max(elapsed, 1e-9),
        }

    def update(self) -> Metrics:
        """Run the PPO epochs on the collected iteration."""
        begun = time.perf_counter()
        experience = make_experience(self._buffer, self.critic, self._scaling, self.config)
        targets_done = time.perf_counter()
        statistics = UpdateStatistics(len(self._clip), self.device)
        train_actor = self.iteration >= self.config.n_critic_warmup_itr
        rates = self._set_rates()
        pairs = experience.log_prob.numel()
        minibatches = max(1, pairs // self.config.batch_size)
        for _ in range(self.config.update_epochs):
            if not self._epoch(experience, minibatches, train_actor, statistics):
                break
        self.iteration += 1
        return {
            **statistics.metrics(),
            **rates,
            "losses/explained_variance": explained_variance(experience.value, experience.returns),
            "losses/value_mean": float(experience.value.mean()),
            "charts/reward_scale": self._scaling.variance**0.5,
            "time/targets_s": targets_done - begun,
            "time/epochs_s": time.perf_counter() - targets_done,
        }

    def model_tensors(self) -> dict[str, Tensor]:
        """Return frozen, fine-tuned and critic weights by dotted name."""
        return {
            **module_tensors(self.policy.base, "base"),
            **module_tensors(self.actor, "actor_ft"),
            **module_tensors(self.critic, "critic"),
        }

    def load_model_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore all weights, strictly."""
        load_module(self.policy.base, tensors, "base")
        load_module(self.actor, tensors, "actor_ft")
        load_module(self.critic, tensors, "critic")

    def state_dict(self) -> dict[str, Any]:
        """Return optimisers, counters, random state, reward statistics and environment state."""
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "generator": self._generator.get_state(),
            "actor_optimizer": self.actor_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "reward_scaling": self._scaling.state_dict(),
            "env": self.env.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.iteration = int(state["iteration"])
        self.env_steps = int(state["env_steps"])
        self._generator.set_state(state["generator"])
        self.actor_optimizer.load_state_dict(dict(state["actor_optimizer"]))
        self.critic_optimizer.load_state_dict(dict(state["critic_optimizer"]))
        self._scaling.load_state_dict(state["reward_scaling"])
        self.env.load_state_dict(state["env"])
        started = self.iteration > 0 and self.env.restorable
        self._observation = self.env.observe() if started else None

    def _set_rates(self) -> Metrics:
        actor_step = max(0, self.iteration - self.config.n_critic_warmup_itr)
        plan: tuple[tuple[str, torch.optim.Optimizer, ScheduleConfig, int], ...] = (
            ("actor", self.actor_optimizer, self.config.actor_schedule, actor_step),
            ("critic", self.critic_optimizer, self.config.critic_schedule, self.iteration),
        )
        rates = {}
        for name, optimizer, schedule, step in plan:
            rate = learning_rate(schedule, step, self._n_train_itr)
            set_learning_rate(optimizer, rate)
            rates[f"charts/{name}_lr"] = rate
        return rates

    def _epoch(
        self,
        experience: Experience,
        minibatches: int,
        train_actor: bool,
        statistics: UpdateStatistics,
    ) -> bool:
        chunks, positions = experience.log_prob.shape
        pairs = chunks * positions
        size = min(self.config.batch_size, pairs)
        pair_order = torch.randperm(pairs, generator=self._generator).to(self.device)
        chunk_order = torch.randperm(chunks, generator=self._generator).to(self.device)
        for index in range(minibatches):
            begun = time.perf_counter()
            chosen = chunk_order[index::minibatches]
            self._critic_step(experience, chosen, statistics)
            statistics.critic_s += time.perf_counter() - begun
            if not train_actor:
                continue
            begun = time.perf_counter()
            approx_kl = self._actor_step(
                experience, pair_order[index * size : (index + 1) * size], statistics
            )
            statistics.actor_s += time.perf_counter() - begun
            if self.config.target_kl is not None and approx_kl > self.config.target_kl:
                statistics.stopped_early = True
                return False
        return True

    def _actor_step(
        self, experience: Experience, pairs: Tensor, statistics: UpdateStatistics
    ) -> float:
        config = self.config
        chunk, position = pairs // len(self._clip), pairs % len(self._clip)
        observation = take(experience.observation, chunk)
        advantages = shape_advantages(
            experience.advantage[chunk],
            config.norm_adv,
            config.clip_advantage_lower_quantile,
            config.clip_advantage_upper_quantile,
        )
        new = self.policy.log_prob(
            observation,
            experience.chain[chunk, position],
            experience.chain[chunk, position + 1],
            position,
            self._reduction,
        )
        result = ppo_policy_loss(
            new,
            experience.log_prob[chunk, position],
            advantages * self._discount[position],
            self._clip[position],
        )
        loss = result.loss
        if config.ent_coef > 0:
            loss = loss - config.ent_coef * self.policy.entropy(observation)
        if config.bc_loss_coeff > 0:
            bc_loss = self._bc_loss(take(observation, slice(None, None, len(self._clip))))
            loss = loss + config.bc_loss_coeff * bc_loss
            statistics.add_bc(bc_loss)
        self.actor_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        statistics.actor_grad_norm += _clip_gradients(self.actor, config.actor_max_grad_norm)
        self.actor_optimizer.step()
        return statistics.add_policy(result, position)

    def _critic_step(
        self, experience: Experience, chunk: Tensor, statistics: UpdateStatistics
    ) -> None:
        loss = value_loss(
            self.critic(take(experience.observation, chunk)),
            experience.value[chunk],
            experience.returns[chunk],
            self.config.clip_vloss_coef,
        )
        self.critic_optimizer.zero_grad(set_to_none=True)
        (self.config.vf_coef * loss).backward()
        norm = _clip_gradients(self.critic, self.config.critic_max_grad_norm)
        self.critic_optimizer.step()
        statistics.add_value(loss, norm)

    def _bc_loss(self, observation: TensorObservation) -> Tensor:
        """Return how unlikely chains of the frozen policy are under the fine-tuned one.

        One observation per K pairs, so it costs as many network rows as the policy loss.
        """
        rows, positions = batch_size(observation), len(self._clip)
        whole = LogProbReduction(self.policy.shape.horizon_steps)
        noise = self.policy.draw_noise(rows, self._generator).to(self.device)
        chain = self.policy.sample(observation, noise, whole, use_base_policy=True).chain
        index = torch.arange(positions, device=self.device).repeat(rows)
        repeated = take(observation, torch.arange(rows).repeat_interleave(positions))
        before, after = chain[:, :-1].flatten(0, 1), chain[:, 1:].flatten(0, 1)
        return -self.policy.log_prob(repeated, before, after, index, whole).mean()


def _clip_gradients(module: nn.Module, limit: float | None) -> float:
    norm = nn.utils.clip_grad_norm_(module.parameters(), float("inf") if limit is None else limit)
    return float(norm)
