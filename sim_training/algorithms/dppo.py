# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Diffusion policy policy optimisation: PPO over the last denoising steps of a pre-trained policy.

Source: Ren et al., "Diffusion Policy Policy Optimization", ICLR 2025. Where this differs from the
authors' code on purpose:

* old log-probabilities come from the rollout; the frozen network never runs in an update;
* the value function is fitted on each chunk once per epoch (the reference repeats every chunk once
  per denoising step; switch: `value_fit`), in as many minibatches as the policy;
* gradients of accumulated batches are averaged and their advantages shaped together (the reference
  adds the gradients up and shapes each batch by itself);
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

from dppo_ros.core.errors import CheckpointError
from sim_training.algorithms.config import DppoConfig
from sim_training.algorithms.learner import Learner
from sim_training.algorithms.policy_objective import PolicyObjective
from sim_training.algorithms.value_objective import ValueObjective
from sim_training.checkpoint import load_module, module_tensors
from sim_training.checks import require
from sim_training.diffusion.exploration import ChainPlan
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.distributed import ALONE, World
from sim_training.envs.protocol import Observation, VectorEnv
from sim_training.metrics import Histograms, Metrics
from sim_training.networks.critic import StateCritic
from sim_training.networks.observation import take
from sim_training.policies.make import TrainablePolicy
from sim_training.policies.protocol import LogProbReduction
from sim_training.rl.buffers import make_rollout_buffer
from sim_training.rl.experience import Experience, make_experience, shift_images
from sim_training.rl.minibatches import minibatches
from sim_training.rl.reward_scaling import RunningRewardScaling
from sim_training.rl.rollout import RolloutSettings, collect_rollout
from sim_training.rl.targets import explained_variance
from sim_training.rl.update_statistics import UpdateStatistics
from sim_training.train import CollectionInterrupted

_ENTROPY_ROWS = 256


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
        world: World = ALONE,
    ) -> None:
        """Prepare optimisers, storage and coefficients.

        Args:
            config: settings.
            policy: with a fine-tuned copy (`start_finetuning` was called).
            critic: state-value network.
            env: training environments of this process.
            n_train_itr: iterations of the whole run.
            seed: of exploration noise and minibatch order, the same in every process.
            world: the processes of the run.

        Raises:
            ConfigError: the policy has nothing to fine-tune, or shorter chunks than are to count.
        """
        actor = _trainable(policy, config)
        self.config = config
        self.policy = policy
        self.critic = critic
        self.env = env
        self.device = str(next(critic.parameters()).device)
        self.iteration = 0
        self.env_steps = 0
        self._n_train_itr = n_train_itr
        self._generator = torch.Generator().manual_seed(seed)
        self._observation: Observation | None = None
        self._world = world
        self._scaling = RunningRewardScaling(env.n_envs * world.size)
        self._reduction = LogProbReduction(
            config.reward_horizon or policy.shape.act_steps, config.logprob_reduction
        )
        self._actor = Learner(
            actor,
            config.actor_schedule,
            config.actor_weight_decay,
            config.actor_max_grad_norm,
        )
        self._critic = Learner(
            critic,
            config.critic_schedule,
            config.critic_weight_decay,
            config.critic_max_grad_norm,
        )
        self._value_objective = ValueObjective(config, critic)
        self._plan, self._eta = _chain_parts(config, policy)
        self._statistics = UpdateStatistics(policy.ft_positions, self.device)
        self._prepare_positions()

    @property
    def total_iterations(self) -> int:
        """Iterations of the whole run."""
        return self._n_train_itr

    def evaluation_policy(self) -> TrainablePolicy:
        """Return the policy being trained."""
        return self.policy

    def collect(self, stop: Callable[[], bool]) -> Metrics:
        """Roll out M chunk steps; an interrupted rollout is undone."""
        self._enter_iteration(self.iteration)
        before = (self._generator.get_state(), self.env.state_dict())
        start = None if self.config.reset_at_iteration else self._observation
        settings = RolloutSettings(self._reduction, self._generator, self.device, self._world)
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
        config = self.config
        if "rgb" in self._buffer.observation and config.random_shift_px:
            pad = config.random_shift_px
            share = self._world.share(self.env.n_envs * self._world.size)
            shift_images(self._buffer, self.policy, self._reduction, pad, self._generator, share)
        experience = make_experience(self._buffer, self.critic, self._scaling, config, self._world)
        targets_done = time.perf_counter()
        self._statistics = UpdateStatistics(self._objective.positions, self.device)
        train_actor = self.iteration >= config.n_critic_warmup_itr
        rates = self._set_rates()
        for _ in range(config.update_epochs):
            if not self._epoch(experience, train_actor):
                break
        self.iteration += 1
        self._statistics.take_in_all(self._world)
        drawn = self._generator.get_state().numpy().tobytes()
        self._world.require_same(drawn, "the random numbers drawn")
        return {
            **self._statistics.metrics(),
            **rates,
            **self._chain_metrics(experience),
            "losses/explained_variance": explained_variance(experience.value, experience.returns),
            "losses/value_mean": float(experience.value.mean()),
            "charts/reward_scale": self._scaling.variance**0.5,
            "time/targets_s": targets_done - begun,
            "time/epochs_s": time.perf_counter() - targets_done,
        }

    def histograms(self) -> Histograms:
        """Return the distribution of the ratio at every position in the latest update."""
        return self._statistics.histograms()

    def model_tensors(self) -> dict[str, Tensor]:
        """Return frozen, fine-tuned, critic and learned eta weights by dotted name."""
        tensors = module_tensors(self.policy.base, "base")
        for name, learner in self._learners().items():
            tensors |= module_tensors(learner.module, name)
        return tensors

    def load_model_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore all weights, strictly."""
        load_module(self.policy.base, tensors, "base")
        for name, learner in self._learners().items():
            load_module(learner.module, tensors, name)

    def state_dict(self) -> dict[str, Any]:
        """Return optimisers, counters, random state, reward statistics and environment state."""
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "generator": self._generator.get_state(),
            "optimizers": {n: learner.state_dict() for n, learner in self._learners().items()},
            "reward_scaling": self._scaling.state_dict(),
            "env": self._world.gather(self.env.state_dict()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            CheckpointError: another number of processes wrote it.
        """
        if len(state["env"]) != self._world.size:
            raise CheckpointError(
                f"the checkpoint holds the environments of {len(state['env'])} processes but "
                f"{self._world.size} are running; resume with --nproc-per-node (times --nnodes) "
                f"{len(state['env'])}"
            )
        self.iteration = int(state["iteration"])
        self.env_steps = int(state["env_steps"])
        self._generator.set_state(state["generator"])
        for name, learner in self._learners().items():
            learner.load_state_dict(state["optimizers"][name])
        self._scaling.load_state_dict(state["reward_scaling"])
        self.env.load_state_dict(state["env"][self._world.rank])
        started = self.iteration > 0 and self.env.restorable
        self._observation = self.env.observe() if started else None
        if self._plan is not None and isinstance(self.policy, DiffusionPolicy):
            # The weights are those after the latest iteration, so its chain belongs to them.
            self.policy.set_chain(self._plan.at(max(self.iteration - 1, 0)))
            self._prepare_positions()

    def _learners(self) -> dict[str, Learner]:
        learners = {"actor_ft": self._actor, "critic": self._critic}
        return learners if self._eta is None else {**learners, "eta": self._eta}

    def _enter_iteration(self, iteration: int) -> None:
        """Give the policy the exploration noise and the fine-tuned steps of an iteration."""
        if self._plan is None or not isinstance(self.policy, DiffusionPolicy):
            return
        self._plan.enter(self.policy, iteration)
        if self.policy.ft_positions != self._objective.positions:
            self._prepare_positions()

    def _prepare_positions(self) -> None:
        """Make storage and coefficients for the present number of fine-tuned steps."""
        self._buffer = make_rollout_buffer(
            self.config.n_steps,
            self.env.n_envs,
            self.policy.shape,
            self.policy.ft_positions,
            self.device,
        )
        self._objective = PolicyObjective(
            self.config, self.policy, self._reduction, self._generator, self.device
        )

    def _set_rates(self) -> Metrics:
        actor_step = max(0, self.iteration - self.config.n_critic_warmup_itr)
        rates = {
            "charts/actor_lr": self._actor.set_rate(actor_step, self._n_train_itr),
            "charts/critic_lr": self._critic.set_rate(self.iteration, self._n_train_itr),
        }
        if self._eta is not None:
            rates["charts/eta_lr"] = self._eta.set_rate(actor_step, self._n_train_itr)
        return rates

    def _chain_metrics(self, experience: Experience) -> Metrics:
        metrics: Metrics = {}
        some = torch.arange(min(_ENTROPY_ROWS, len(experience.advantage)), device=self.device)
        _, rows = experience.own(some)
        part = torch.zeros((), dtype=torch.float64)
        with torch.no_grad():
            if len(rows):
                mean = float(self.policy.entropy(take(experience.observation, rows)))
                part += mean * len(rows) / len(some)
        entropy = float(self._world.add(part))
        if isinstance(self.policy, DiffusionPolicy):
            chain = self.policy.config
            metrics["diffusion/eta"] = entropy
            metrics["diffusion/ft_denoising_steps"] = float(chain.ft_denoising_steps)
            metrics["diffusion/min_sampling_denoising_std"] = chain.min_sampling_denoising_std
        else:
            metrics["losses/entropy"] = entropy
        return metrics

    def _epoch(self, experience: Experience, train_actor: bool) -> bool:
        """Run one epoch; False if the policy has moved too far for another one."""
        config = self.config
        chunks, positions = len(experience.advantage), experience.log_prob.shape[1]
        size = config.batch_size * config.grad_accumulate
        epoch = minibatches(chunks, positions, size, config.value_fit, self._generator, self.device)
        for index, minibatch in enumerate(epoch):
            begun = time.perf_counter()
            self._critic_step(experience, minibatch.chunks)
            critic_done = time.perf_counter()
            self._statistics.critic_s += critic_done - begun
            if not train_actor:
                continue
            approx_kl = self._actor_step(experience, minibatch.pairs, index)
            self._statistics.actor_s += time.perf_counter() - critic_done
            if config.target_kl is not None and approx_kl > config.target_kl:
                self._statistics.stopped_early = True
                return False
        return True

    def _actor_step(self, experience: Experience, pairs: Tensor, index: int) -> float:
        self._actor.zero_grad()
        if self._eta is not None:
            self._eta.zero_grad()
        result = self._objective.backward(experience, pairs)
        trained = [*self._actor.module.parameters()]
        if self._eta is not None:
            trained += self._eta.module.parameters()
        approx_kl = self._world.add_gradients(trained, result.approx_kl)
        norm = self._actor.step()
        if self._eta is not None and index % self.config.eta_update_interval == 0:
            self._eta.step()
        self._statistics.add_policy(result.policy, result.position, norm, result.behaviour_cloning)
        return approx_kl

    def _critic_step(self, experience: Experience, chunks: Tensor) -> None:
        self._critic.zero_grad()
        loss = self._value_objective.backward(experience, chunks)
        self._world.add_gradients(self.critic.parameters())
        self._statistics.add_value(loss, self._critic.step())


def _chain_parts(
    config: DppoConfig, policy: TrainablePolicy
) -> tuple[ChainPlan | None, Learner | None]:
    """Return the schedule of a diffusion policy's chain, and the learner of a learned eta."""
    if not isinstance(policy, DiffusionPolicy):
        return None, None
    plan = ChainPlan(policy.config, config.anneal_ft_steps_every, config.anneal_ft_steps_by)
    if policy.eta is None:
        return plan, None
    return plan, Learner(policy.eta, config.eta_schedule, config.eta_weight_decay)


def _trainable(policy: TrainablePolicy, config: DppoConfig) -> nn.Module:
    """Return the network to fine-tune.

    Raises:
        ConfigError: there is none, or its chunks are shorter than what is to count of them.
    """
    require(
        policy.ft_positions >= 1 and policy.actor_ft is not None,
        f"diffusion.ft_denoising_steps is {policy.ft_positions}; fine-tuning needs at least 1",
    )
    require(
        (config.reward_horizon or 1) <= policy.shape.horizon_steps,
        f"train.reward_horizon is {config.reward_horizon} but the policy predicts "
        f"{policy.shape.horizon_steps} actions; choose at most that many",
    )
    assert policy.actor_ft is not None
    return policy.actor_ft
