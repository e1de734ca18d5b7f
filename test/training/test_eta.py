# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The learnable eta of DDIM: its four kinds, the step it completes, and its policy gradient."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.algorithms.config import ScheduleConfig
from sim_training.config import FinetuneConfig
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.eta import FreeEta, StateEta, make_eta
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.diffusion.sampler import chain_tables, step_mean, step_with_eta
from sim_training.diffusion.schedule import cosine_schedule, ddim_steps
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.networks.config import DiffusionMlpConfig
from sim_training.networks.layers import PreparedSteps
from sim_training.networks.shape import PolicyShape
from sim_training.policies.protocol import LogProbReduction
from sim_training.policy_loading import load_policy

Kind = Literal["fixed", "per_dimension", "per_state", "per_state_and_action"]
KINDS: dict[Kind, tuple[int, int, int]] = {
    "fixed": (1, 1, 1),
    "per_dimension": (1, 1, 2),
    "per_state": (7, 1, 1),
    "per_state_and_action": (7, 1, 2),
}
SHAPE = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=4, act_steps=2)
WHOLE = LogProbReduction(4, "sum", (-1e9, 1e9))
LEARNED = DiffusionConfig(
    use_ddim=True, ddim_steps=4, ft_denoising_steps=3, learn_eta=True, eta=0.6, eta_mlp_dims=(8,)
)


def of_kind(kind: Kind, **changes: Any) -> DiffusionConfig:  # noqa: ANN401
    return dataclasses.replace(LEARNED, eta_kind=kind, **changes)


def observation(rows: int = 7) -> dict[str, Tensor]:
    return {"state": torch.randn(rows, 1, 3, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_starts_at_the_base_value(kind: Kind) -> None:
    eta = make_eta(of_kind(kind), SHAPE)
    assert eta is not None
    value = eta(observation())
    assert value.shape == KINDS[kind]
    torch.testing.assert_close(value, torch.full_like(value, 0.6), atol=1e-3, rtol=0.0)


def test_without_learning_every_kind_is_the_constant() -> None:
    for kind in KINDS:
        assert make_eta(of_kind(kind, learn_eta=False, eta=0.0), SHAPE) is None


def test_a_free_eta_runs_between_its_limits() -> None:
    eta = FreeEta(LEARNED, 3)
    with torch.no_grad():
        eta.logit.copy_(torch.tensor([-50.0, math.atanh(0.5), 50.0]))
    # 0.1 + 0.9 (0.5 + 1) / 2 = 0.775
    torch.testing.assert_close(eta(observation()).flatten(), torch.tensor([0.1, 0.775, 1.0]))


def test_a_free_eta_that_starts_at_its_limit_can_still_move() -> None:
    eta = FreeEta(dataclasses.replace(LEARNED, eta=1.0), 1)
    value = eta(observation())
    assert value.item() == pytest.approx(1.0, abs=0.01)
    value.sum().backward()
    assert eta.logit.grad is not None
    assert eta.logit.grad.item() > 1e-3


@pytest.mark.parametrize(("sign", "stays"), [(1.0, False), (-1.0, True)])
def test_a_clamped_eta_of_states_lets_only_inward_gradients_pass(sign: float, stays: bool) -> None:
    """Descending +eta lowers it from the upper limit; descending -eta would leave the range."""
    eta = StateEta(dataclasses.replace(LEARNED, eta=1.0), SHAPE, 1)
    last = [layer for layer in eta.mlp.modules() if isinstance(layer, nn.Linear)][-1]
    nn.init.constant_(last.bias, 0.5)
    value = eta(observation())
    assert torch.equal(value, torch.ones_like(value))
    (sign * value).sum().backward()
    assert last.bias.grad is not None
    assert (last.bias.grad.abs().item() == 0.0) is stays


@pytest.mark.parametrize("steps", [1, 3, 20])
@pytest.mark.parametrize("value", [0.1, 0.5, 1.0])
def test_the_step_with_a_tensor_equals_the_table_of_that_eta(steps: int, value: float) -> None:
    config = DiffusionConfig(use_ddim=True, ddim_steps=steps, ft_denoising_steps=1)
    schedule = cosine_schedule(config.denoising_steps)
    table = ddim_steps(schedule, steps, value)
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, steps, 4, 2, generator=generator)
    position = torch.arange(steps)
    eta = torch.full((steps, 1, 2), value)
    mean, std = step_with_eta(chain_tables(schedule, config), position, x, noise, 1.0, eta)
    torch.testing.assert_close(mean, step_mean(table, position, x, noise, 1.0))
    torch.testing.assert_close(std[:, 0, 0], table.std)


def test_the_step_is_differentiable_in_eta_everywhere() -> None:
    """Also at the last step, where no noise is left, and at eta 1 of a chain of all steps."""
    config = DiffusionConfig(use_ddim=True, ddim_steps=20, ft_denoising_steps=20)
    tables = chain_tables(cosine_schedule(20), config)
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 20, 1, 2, generator=generator).double()
    position = torch.arange(20)

    def step(eta: Tensor) -> tuple[Tensor, Tensor]:
        return step_with_eta(tables, position, x, noise, 1.0, eta)

    for value in (0.3, 0.9):
        eta = torch.full((20, 1, 2), value, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(step, (eta,), eps=1e-5, atol=1e-5)
    eta = torch.ones(20, 1, 2, requires_grad=True)
    sum(part.sum() for part in step(eta)).backward()  # type: ignore[union-attr]
    assert eta.grad is not None
    assert bool(eta.grad.isfinite().all())


@pytest.mark.parametrize("kind", KINDS)
def test_stored_log_prob_equals_recomputation(kind: Kind) -> None:
    torch.manual_seed(0)
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), of_kind(kind), SHAPE)
    policy.start_finetuning()
    assert policy.eta is not None
    with torch.no_grad():
        for parameter in policy.eta.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    seen = observation()
    sample = policy.sample(seen, policy.draw_noise(7, torch.Generator().manual_seed(1)), WHOLE)
    for index in range(3):
        before, after = sample.chain[:, index], sample.chain[:, index + 1]
        again = policy.log_prob(seen, before, after, torch.full((7,), index), WHOLE)
        torch.testing.assert_close(sample.log_prob[:, index], again, atol=1e-4, rtol=1e-4)
    entropy = policy.entropy(seen)
    torch.testing.assert_close(entropy, policy.eta(seen).mean())
    entropy.backward()
    assert all(parameter.grad is not None for parameter in policy.eta.parameters())


class ConstantNoise(nn.Module):
    """A noise predictor that always answers 0.2."""

    def encode_observation(self, seen: dict[str, Tensor]) -> Tensor:
        return seen["state"].flatten(1)

    def encode_time(self, time: Tensor) -> Tensor:
        return time.unsqueeze(-1).float()

    def denoise(self, x: Tensor, time_feature: Tensor, obs_feature: Tensor) -> Tensor:
        return torch.full_like(x, 0.2)

    def prepare(self, seen: dict[str, Tensor], times: Tensor) -> PreparedSteps:
        return lambda index, x: torch.full_like(x, 0.2)

    def forward(self, x: Tensor, time: Tensor, seen: dict[str, Tensor]) -> Tensor:
        return torch.full_like(x, 0.2)


def expected_distance(eta: float, floor: float) -> float:
    """E[(a - x0)^2] of the two-step chain: both steps are affine, a = keep x0 + shift + noise."""
    steps = ddim_steps(cosine_schedule(4), 2, eta)
    total_keep, shift, variance = 1.0, 0.0, 0.0
    for i in range(2):
        keep = float(steps.mean_from_x0[i] * steps.x0_from_x[i] + steps.mean_from_x[i])
        push = float(steps.mean_from_x0[i] * steps.x0_from_output[i])
        std = max(float(steps.std[i]), floor)
        total_keep *= keep
        shift, variance = keep * shift - push * 0.2, keep**2 * variance + std**2
    return (total_keep - 1.0) ** 2 + shift**2 + variance


def test_policy_gradient_of_eta_is_the_one_known_in_closed_form() -> None:
    """The score-function estimate of d E[(a - x0)^2] / d eta against the exact derivative.

    E[a^2] alone would hardly tell: DDIM keeps it almost the same for every eta.
    """
    floor, batch = 0.1, 200_000
    config = DiffusionConfig(
        denoising_steps=4,
        use_ddim=True,
        ddim_steps=2,
        ft_denoising_steps=2,
        learn_eta=True,
        eta=0.6,
        denoised_clip_value=100.0,
        final_action_clip_value=None,
        min_sampling_denoising_std=floor,
        min_logprob_denoising_std=floor,
        randn_clip_value=100.0,
    )
    shape = PolicyShape(obs_dim=3, action_dim=1, cond_steps=1, horizon_steps=1, act_steps=1)
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(8, 8, 8)), config, shape)
    policy.base = ConstantNoise()  # type: ignore[assignment]
    policy.start_finetuning()
    assert isinstance(policy.eta, FreeEta)
    seen = {"state": torch.zeros(batch, 1, 3)}
    generator = torch.Generator().manual_seed(0)
    sample = policy.sample(seen, policy.draw_noise(batch, generator), WHOLE)
    reward = (sample.chunk - sample.chain[:, 0])[:, 0, 0] ** 2
    total = torch.zeros(())
    for index in range(2):
        before, after = sample.chain[:, index], sample.chain[:, index + 1]
        log_prob = policy.log_prob(seen, before, after, torch.full((batch,), index), WHOLE)
        total = total + (log_prob * (reward - reward.mean())).mean()
    (by_logit,) = torch.autograd.grad(total, policy.eta.logit)
    (slope,) = torch.autograd.grad(policy.eta(seen).sum(), policy.eta.logit)
    step = 1e-3
    exact = expected_distance(0.6 + step, floor) - expected_distance(0.6 - step, floor)
    assert float(policy.tables.training.std[0]) > 2 * floor  # so the noise counts too
    assert reward.mean().item() == pytest.approx(expected_distance(0.6, floor), rel=0.02)
    assert (by_logit / slope).item() == pytest.approx(exact / (2 * step), rel=0.05)


def test_fine_tuning_trains_and_stores_eta(
    finetune_config: FinetuneConfig, change: Callable[..., Any]
) -> None:
    config = change(
        finetune_config,
        diffusion__learn_eta=True,
        diffusion__eta_kind="per_dimension",
        diffusion__eta=0.6,
        train__ent_coef=0.01,
        train__eta_schedule=ScheduleConfig(1e-2, 1e-2, 0),
    )
    loaded = load_policy(run_finetune(config)).policy
    assert isinstance(loaded, DiffusionPolicy)
    assert isinstance(loaded.eta, FreeEta)
    start = FreeEta(config.diffusion, 2).logit
    assert bool((loaded.eta.logit != start).all())
    row = read_metrics(config.run.run_dir / "metrics.jsonl")[-1]
    assert row["charts/eta_lr"] == 1e-2
    assert row["diffusion/eta"] == pytest.approx(float(loaded.entropy(observation())), abs=1e-6)
    slow = change(
        config,
        run__run_dir=config.run.run_dir.with_name("slow"),
        train__eta_update_interval=100,
        train__eta_schedule=ScheduleConfig(1e-6, 1e-6, 0),
    )
    rested = load_policy(run_finetune(slow)).policy
    assert isinstance(rested, DiffusionPolicy)
    assert isinstance(rested.eta, FreeEta)
    assert (rested.eta.logit - start).abs().max().item() < 1e-4


def test_impossible_etas_are_refused() -> None:
    with pytest.raises(ConfigError, match="use_ddim is off"):
        DiffusionConfig(learn_eta=True)
    with pytest.raises(ConfigError, match=r"eta is 0\.05"):
        of_kind("fixed", eta=0.05)
    with pytest.raises(ConfigError, match=r"eta_min is 1\.0"):
        of_kind("fixed", eta_min=1.0)
