# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of policy finds the known optimum of a one-step task, from random weights.

The reward of action a in state s is -|a - s / 2|^2, so the best action is s / 2 and the best
return 0. While training, policies explore, which costs the variance of their last draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from sim_training.algorithms.config import DppoConfig, ScheduleConfig
from sim_training.algorithms.dppo import Dppo
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.protocol import BoolArray, ChunkStep, Float32Array, Observation
from sim_training.networks.config import (
    CriticConfig,
    DiffusionMlpConfig,
    GaussianConfig,
    GaussianMlpConfig,
    GmmMlpConfig,
    NetworkConfig,
)
from sim_training.networks.critic import StateCritic
from sim_training.networks.shape import PolicyShape
from sim_training.policies.make import make_policy

SHAPE = PolicyShape(obs_dim=2, action_dim=2, cond_steps=1, horizon_steps=1, act_steps=1)


class OneStepBandit:
    """`VectorEnv` whose episodes last one step."""

    obs_dim = action_dim = 2
    cond_steps = act_steps = 1
    phase_names: tuple[str, ...] = ("start",)
    restorable = False

    def __init__(self, n_envs: int) -> None:
        self.n_envs = n_envs
        self._random = np.random.default_rng(0)
        self._state = self._draw()

    @property
    def at_start(self) -> BoolArray:
        return np.ones(self.n_envs, dtype=bool)

    def _draw(self) -> Float32Array:
        return self._random.uniform(-1.0, 1.0, (self.n_envs, 1, 2)).astype(np.float32)

    def observe(self) -> Observation:
        return {"state": self._state}

    def reset(self) -> Observation:
        self._state = self._draw()
        return self.observe()

    def step(self, chunk: Float32Array) -> ChunkStep:
        reward = -((chunk[:, 0] - self._state[:, 0] / 2) ** 2).sum(1).astype(np.float32)
        ended = np.ones(self.n_envs, dtype=bool)
        whole = np.zeros(self.n_envs, dtype=np.int64)
        info = {"success": ~ended, "phase": whole, "seed": whole, "parked": ~ended}
        info |= {"episode_reward": reward, "episode_steps": whole + 1, "steps": whole + 1}
        before = self.observe()
        return ChunkStep(self.reset(), reward, ended, ~ended, before, info)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


NOISE_PREDICTOR = DiffusionMlpConfig(mlp_dims=(32, 32, 32))
DDPM = DiffusionConfig(denoising_steps=5, ft_denoising_steps=5)
DDIM = DiffusionConfig(use_ddim=True, ddim_steps=3, ft_denoising_steps=3)
GAUSSIAN = GaussianConfig(fixed_std=0.15)


@dataclass(frozen=True)
class Case:
    """A kind of policy, the deviation of its last draw, and the iterations that it needs."""

    network: NetworkConfig
    diffusion: DiffusionConfig
    last_std: float
    iterations: int


CASES = {
    "ddpm": Case(NOISE_PREDICTOR, DDPM, 0.1, 30),
    "ddim": Case(NOISE_PREDICTOR, DDIM, 0.1, 35),
    "gaussian": Case(GaussianMlpConfig(mlp_dims=(32, 32, 32)), DDPM, 0.15, 12),
    "gmm": Case(GmmMlpConfig(mlp_dims=(32, 32, 32), num_modes=2), DDPM, 0.15, 12),
}


def regret(algorithm: Dppo) -> float:
    """Return the mean squared distance of evaluated actions from the best ones."""
    generator = torch.Generator().manual_seed(7)
    state = 2.0 * torch.rand(500, 1, 2, generator=generator) - 1.0
    noise = algorithm.policy.draw_noise(500, generator)
    action = algorithm.policy.act({"state": state}, noise)[:, 0]
    return float(((action - state[:, 0] / 2) ** 2).sum(1).mean())


@pytest.mark.parametrize("name", CASES)
def test_the_optimum_is_found(name: str) -> None:
    torch.manual_seed(0)
    case = CASES[name]
    policy = make_policy(case.network, case.diffusion, GAUSSIAN, SHAPE)
    policy.start_finetuning()
    config = DppoConfig(
        n_envs=100,
        n_steps=5,
        batch_size=250,
        update_epochs=4,
        clip_ploss_coef=0.1,
        clip_ploss_coef_base=0.05,
        target_kl=None,
        actor_schedule=ScheduleConfig(3e-3, 3e-3, 0),
        critic_schedule=ScheduleConfig(3e-3, 3e-3, 0),
    )
    critic = StateCritic(CriticConfig(mlp_dims=(32, 32, 32)), SHAPE)
    algorithm = Dppo(config, policy, critic, OneStepBandit(100), case.iterations, seed=0)
    before = regret(algorithm)
    for _ in range(case.iterations):
        collected = algorithm.collect(lambda: False)
        algorithm.update()
    after = regret(algorithm)
    print(f"{name}: regret {before:.4f} -> {after:.4f}, {collected['charts/episodic_return']:.4f}")
    assert before > 0.1
    assert after < 0.01
    # Two dimensions of noise are all that exploration costs.
    exploring = -2.0 * case.last_std**2
    assert collected["charts/episodic_return"] == pytest.approx(exploring, abs=0.012)
