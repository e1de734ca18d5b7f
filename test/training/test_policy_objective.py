# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole loss of the policy: against a loop over pairs, finite differences and closed forms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sim_training.algorithms.config import DppoConfig, ScheduleConfig
from sim_training.algorithms.policy_objective import PolicyObjective
from sim_training.checkpoint import load_checkpoint
from sim_training.config import FinetuneConfig
from sim_training.diffusion.config import DiffusionConfig
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.networks.config import (
    DiffusionMlpConfig,
    GaussianConfig,
    GaussianMlpConfig,
    GmmMlpConfig,
    NetworkConfig,
    VisionConfig,
)
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.make import TrainablePolicy, make_policy
from sim_training.policies.protocol import LogProbReduction
from sim_training.rl.buffers import make_rollout_buffer
from sim_training.rl.experience import Experience, shift_images
from sim_training.rl.minibatches import minibatches
from sim_training.rl.targets import PolicyLoss
from sim_training.rl.update_statistics import UpdateStatistics
from sim_training.share import whole

SHAPE = PolicyShape(obs_dim=3, action_dim=2, cond_steps=1, horizon_steps=3, act_steps=2)
CHAIN = DiffusionConfig(
    use_ddim=True, ddim_steps=4, ft_denoising_steps=3, learn_eta=True, eta=0.7, eta_mlp_dims=(8,)
)
NETWORKS: dict[str, NetworkConfig] = {
    "diffusion": DiffusionMlpConfig(mlp_dims=(8, 8, 8)),
    "gaussian": GaussianMlpConfig(mlp_dims=(8, 8, 8)),
    "gmm": GmmMlpConfig(mlp_dims=(8, 8, 8), num_modes=2),
}
CHUNKS = 20
SETTINGS = DppoConfig(
    batch_size=1000,
    gamma_denoising=0.8,
    clip_ploss_coef=0.3,
    clip_ploss_coef_base=0.05,
    clip_ploss_coef_rate=2.0,
    clip_advantage_lower_quantile=0.1,
    clip_advantage_upper_quantile=0.9,
    ent_coef=0.05,
)


def make(
    name: str, config: DppoConfig, randn_clip_value: float = 3.0
) -> tuple[TrainablePolicy, Experience, PolicyObjective]:
    """Return a policy that has moved away from the one that acted, what it did, and its loss."""
    torch.manual_seed(0)
    settings = GaussianConfig(
        std="per_dimension", fixed_std=0.15, randn_clip_value=randn_clip_value
    )
    policy = make_policy(NETWORKS[name], CHAIN, settings, SHAPE)
    actor = policy.start_finetuning()
    generator = torch.Generator().manual_seed(1)
    observation = {"state": torch.randn(CHUNKS, 1, 3, generator=generator)}
    reduction = LogProbReduction(2)
    sample = policy.sample(observation, policy.draw_noise(CHUNKS, generator), reduction)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    experience = Experience(
        observation=observation,
        chain=sample.chain,
        log_prob=sample.log_prob,
        advantage=torch.randn(CHUNKS, generator=generator),
        returns=torch.zeros(CHUNKS),
        value=torch.zeros(CHUNKS),
        share=whole(CHUNKS),
    )
    return policy, experience, PolicyObjective(config, policy, reduction, generator, "cpu")


def loss_in_a_loop(
    policy: TrainablePolicy, experience: Experience, pairs: Tensor, config: DppoConfig
) -> float:
    """The loss as its specification reads, one pair after the other, in NumPy."""
    positions = policy.ft_positions
    chunk, position = pairs // positions, pairs % positions
    observation = {"state": experience.observation["state"][chunk]}
    chain = experience.chain
    with torch.no_grad():
        new = policy.log_prob(
            observation,
            chain[chunk, position],
            chain[chunk, position + 1],
            position,
            LogProbReduction(2),
        ).double()
        entropy = float(policy.entropy(observation))
    old = experience.log_prob[chunk, position].double()
    advantage = experience.advantage[chunk].double().numpy()
    advantage = (advantage - advantage.mean()) / (advantage.std(ddof=1) + 1e-8)
    low, high = (
        np.quantile(advantage, share)
        for share in (config.clip_advantage_lower_quantile, config.clip_advantage_upper_quantile)
    )
    total = 0.0
    for n, i in enumerate(position.tolist()):
        weight = config.gamma_denoising ** (positions - 1 - i)
        a = min(max(advantage[n], low), high) * weight
        u = i / (positions - 1) if positions > 1 else 1.0
        rate = config.clip_ploss_coef_rate
        span = config.clip_ploss_coef - config.clip_ploss_coef_base
        clip = config.clip_ploss_coef_base + span * math.expm1(rate * u) / math.expm1(rate)
        ratio = math.exp(float(new[n] - old[n]))
        total += max(-a * ratio, -a * min(max(ratio, 1 - clip), 1 + clip))
    return total / len(pairs) - config.ent_coef * entropy


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_is_that_of_a_loop_over_pairs_and_so_is_its_gradient(name: str) -> None:
    policy, experience, objective = make(name, SETTINGS)
    pairs = torch.randperm(CHUNKS * policy.ft_positions, generator=torch.Generator())[:18]
    advantages = objective.advantages(experience, pairs)
    result = objective.loss(experience, pairs, advantages)
    assert result is not None
    value = loss_in_a_loop(policy, experience, pairs, SETTINGS)
    assert float(result.total.detach()) == pytest.approx(value, abs=1e-5)
    clipped = float(result.policy.clipped.mean())
    assert 0.0 < clipped < 1.0, "some pairs should be clipped and some not"
    objective.backward(experience, pairs)
    assert policy.actor_ft is not None
    trained = [
        *policy.actor_ft.parameters(),
        *(getattr(policy, "eta", None) or nn.Module()).parameters(),
    ]
    step = 4e-3
    for parameter in (trained[-1], trained[-2]):
        assert parameter.grad is not None
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        index = int(gradient.abs().argmax())
        flat[index] += step
        up = loss_in_a_loop(policy, experience, pairs, SETTINGS)
        flat[index] -= 2 * step
        down = loss_in_a_loop(policy, experience, pairs, SETTINGS)
        flat[index] += step
        slope = (up - down) / (2 * step)
        assert float(gradient[index]) == pytest.approx(slope, rel=0.05, abs=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [1, 7, 18])
def test_accumulated_batches_give_the_gradient_of_one_large_batch(name: str, size: int) -> None:
    gradients, losses = [], []
    for batch_size in (1000, size):
        config = dataclasses.replace(SETTINGS, batch_size=batch_size)
        policy, experience, objective = make(name, config)
        assert policy.actor_ft is not None
        result = objective.backward(experience, torch.arange(18))
        losses.append(result.policy.loss)
        assert result.policy.ratio.shape == result.position.shape == (18,)
        gradients.append([p.grad for p in policy.actor_ft.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[0], losses[1])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)


def test_a_run_with_accumulation_takes_the_steps_of_a_run_without(
    finetune_config: FinetuneConfig, change: Callable[..., Any]
) -> None:
    """24 chunks and 4 positions: 96 pairs, hence two steps of 48 per epoch."""
    models = []
    for batch_size, accumulate in ((48, 1), (16, 3)):
        config = change(
            finetune_config,
            run__run_dir=finetune_config.run.run_dir.with_name(f"batch_{batch_size}"),
            train__batch_size=batch_size,
            train__grad_accumulate=accumulate,
        )
        models.append(load_checkpoint(run_finetune(config)).model)
        row = read_metrics(config.run.run_dir / "metrics.jsonl")[-1]
        assert row["losses/actor_minibatches"] == 4
    for name in models[0]:
        torch.testing.assert_close(models[0][name], models[1][name], atol=2e-5, rtol=1e-3)


def test_one_transition_uses_the_full_clip_and_no_discount() -> None:
    policy, experience, objective = make("gaussian", SETTINGS)
    assert policy.ft_positions == 1
    pairs = torch.arange(CHUNKS)
    free = dataclasses.replace(
        SETTINGS,
        norm_adv=False,
        clip_advantage_lower_quantile=0.0,
        clip_advantage_upper_quantile=1.0,
    )
    plain = PolicyObjective(free, policy, objective.reduction, torch.Generator(), "cpu")
    assert torch.equal(plain.advantages(experience, pairs), experience.advantage)
    ratio = objective.backward(experience, pairs).policy
    assert torch.equal(ratio.clipped.bool(), (ratio.ratio - 1.0).abs() > 0.3)


class Constant(nn.Module):
    """An action network that ignores the observation."""

    def __init__(self, *outputs: Tensor) -> None:
        super().__init__()
        self.outputs = nn.ParameterList(outputs)

    def forward(self, observation: TensorObservation) -> tuple[Tensor, ...]:
        rows = len(observation["state"])
        return tuple(output.expand(rows, *output.shape) for output in self.outputs)


def cloning_loss(name: str, base: nn.Module, tuned: nn.Module) -> float:
    policy, _, objective = make(name, SETTINGS, randn_clip_value=100.0)
    policy.base, policy.actor_ft = base, tuned  # type: ignore[assignment]
    observation = {"state": torch.zeros(20_000, 1, 3)}
    noise = policy.draw_noise(20_000, torch.Generator().manual_seed(0))
    return float(objective.behaviour_cloning(observation, noise).detach())


def test_behaviour_cloning_of_a_gaussian_is_its_cross_entropy() -> None:
    """Per entry: log s + log(2 pi) / 2 + (s^2 + (m1 - m0)^2) / (2 s^2), s = 0.5, m1 - m0 = 0.2."""
    log_std = torch.full((3, 2), math.log(0.5))
    base = Constant(torch.zeros(3, 2), log_std)
    tuned = Constant(torch.full((3, 2), 0.2), log_std)
    exact = math.log(0.5) + 0.5 * math.log(2 * math.pi) + (0.25 + 0.04) / 0.5
    assert cloning_loss("gaussian", base, tuned) == pytest.approx(exact, abs=0.01)


def test_behaviour_cloning_of_a_mixture_counts_modes_and_entries() -> None:
    """Two modes far apart: the entropy of one plus log 2, over the six entries of the chunk."""
    mean = torch.stack([torch.full((3, 2), -4.0), torch.full((3, 2), 4.0)])
    network = Constant(mean, torch.full((2, 3, 2), math.log(0.5)), torch.zeros(2))
    exact = math.log(0.5) + 0.5 * math.log(2 * math.pi) + 0.5 + math.log(2.0) / 6
    assert cloning_loss("gmm", network, network) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_behaviour_cloning_enters_the_loss_with_its_weight(name: str) -> None:
    losses = {}
    for weight in (0.0, 0.25):
        config = dataclasses.replace(SETTINGS, bc_loss_coeff=weight)
        policy, experience, objective = make(name, config)
        pairs = torch.arange(CHUNKS * policy.ft_positions)
        losses[weight] = objective.loss(experience, pairs, objective.advantages(experience, pairs))
    plain, cloned = losses[0.0], losses[0.25]
    assert plain is not None and cloned is not None
    assert plain.behaviour_cloning is None and cloned.behaviour_cloning is not None
    torch.testing.assert_close(cloned.total, plain.total + 0.25 * cloned.behaviour_cloning)


def test_minibatches_are_a_permutation_without_its_remainder() -> None:
    generator = torch.Generator().manual_seed(0)
    epoch = list(minibatches(10, 3, 8, "chunk", generator))
    pairs = torch.cat([m.pairs for m in epoch])
    assert [len(m.pairs) for m in epoch] == [8, 8, 8]
    assert len(pairs.unique()) == 24
    assert torch.cat([m.chunks for m in epoch]).sort().values.tolist() == list(range(10))
    again = next(iter(minibatches(10, 3, 8, "chunk", generator)))
    assert not torch.equal(again.pairs, epoch[0].pairs)
    (everything,) = minibatches(10, 3, 1000, "chunk", generator)
    assert everything.pairs.sort().values.tolist() == list(range(30))


def test_the_reference_fits_values_to_the_chunks_of_the_pairs() -> None:
    (batch,) = minibatches(10, 3, 30, "pair", torch.Generator().manual_seed(0))
    assert torch.equal(batch.chunks, batch.pairs // 3)
    assert batch.chunks.bincount().tolist() == [3] * 10


def test_ratio_quantiles_per_position_by_hand() -> None:
    """Position 0 sees ratios 0.5 ... 1.5 in 101 steps, position 1 only ones."""
    statistics = UpdateStatistics(3, "cpu")
    ratio = torch.cat([torch.linspace(0.5, 1.5, 101), torch.ones(5)])
    position = torch.cat([torch.zeros(101), torch.ones(5)]).long()
    for part in torch.randperm(106, generator=torch.Generator().manual_seed(0)).split(40):
        loss = PolicyLoss(torch.tensor(2.0), ratio[part], ratio[part].log(), ratio[part] * 0.0)
        statistics.add_policy(loss, position[part], grad_norm=3.0)
    metrics = statistics.metrics()
    names = [f"diffusion/ratio_{q}_0" for q in ("p01", "p50", "p99")]
    assert [metrics[name] for name in names] == pytest.approx([0.51, 1.0, 1.49])
    assert metrics["diffusion/ratio_p99_1"] == 1.0
    assert "diffusion/ratio_p50_2" not in metrics
    assert metrics["losses/ratio_max_change"] == pytest.approx(0.5)
    assert metrics["losses/actor_grad_norm"] == 3.0
    histograms = statistics.histograms()
    assert sorted(histograms) == ["diffusion/ratio_0", "diffusion/ratio_1"]
    assert float(np.median(histograms["diffusion/ratio_0"])) == pytest.approx(1.0, abs=0.01)


def test_images_are_shifted_once_and_log_probs_taken_anew() -> None:
    shape = dataclasses.replace(SHAPE, cameras=1, image_size_px=24)
    vision = VisionConfig(embed_dim=8, num_heads=2, spatial_dim=8)
    network = DiffusionMlpConfig(mlp_dims=(8, 8, 8), vision=vision)
    policy = make_policy(network, CHAIN, GaussianConfig(), shape)
    policy.start_finetuning()
    generator = torch.Generator().manual_seed(0)
    buffer = make_rollout_buffer(2, 3, shape, 3, "cpu")
    rgb = buffer.observation["rgb"]
    rgb.random_(0, 256, generator=generator)
    before = rgb.clone()
    reduction = LogProbReduction(2)
    for m in range(2):
        seen = {name: value[m] for name, value in buffer.observation.items()}
        buffer.chain[m] = policy.sample(seen, policy.draw_noise(3, generator), reduction).chain
    shift_images(buffer, policy, reduction, 4, generator)
    assert torch.equal(rgb[-1], before[-1]), "the bootstrap observation stays"
    assert rgb.dtype == torch.uint8
    for m in range(2):
        assert all(not torch.equal(rgb[m, n], before[m, n]) for n in range(3))
        seen = {name: value[m] for name, value in buffer.observation.items()}
        for k in range(3):
            index = torch.full((3,), k)
            chain = buffer.chain[m]
            again = policy.log_prob(seen, chain[:, k], chain[:, k + 1], index, reduction)
            torch.testing.assert_close(buffer.log_prob[m, :, k], again.detach())


def test_the_divergence_limit_waits_for_the_end_of_the_warm_up(
    finetune_config: FinetuneConfig, change: Callable[..., Any]
) -> None:
    config = change(
        finetune_config,
        train__n_critic_warmup_itr=1,
        train__target_kl=1e-9,
        train__value_fit="pair",
        train__update_epochs=6,
        train__actor_schedule=ScheduleConfig(1e-2, 1e-2, 0),
    )
    run_finetune(config)
    first, second = read_metrics(config.run.run_dir / "metrics.jsonl")
    assert "losses/stopped_early" not in first
    assert first["losses/value_loss"] > 0
    assert second["losses/stopped_early"] == 1.0
    assert second["losses/actor_minibatches"] < 6 * 2
