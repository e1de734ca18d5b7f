# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gradients in bfloat16: the forward pass is untouched, the gradients are close."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.networks.config import DiffusionMlpConfig
from sim_training.networks.layers import ResidualMlp
from sim_training.networks.mixed_precision import Bf16Gradients
from sim_training.networks.shape import PolicyShape
from sim_training.policies.protocol import LogProbReduction


def gradients(network: nn.Module, x: Tensor, target: Tensor) -> tuple[Tensor, list[Tensor]]:
    output = network(x)
    ((output - target) ** 2).mean().backward()
    return output.detach(), [p.grad for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize("use_layernorm", [False, True])
def test_same_output_and_gradients_within_half_a_percent(use_layernorm: bool) -> None:
    torch.manual_seed(0)
    network = ResidualMlp([20, 64, 64, 64, 5], "Mish", use_layernorm)
    same = copy.deepcopy(network)
    x, target = torch.randn(256, 20), torch.randn(256, 5)
    exact_output, exact = gradients(network, x, target)
    with Bf16Gradients():
        output, rounded = gradients(same, x, target)
    assert torch.equal(output, exact_output)
    assert len(rounded) == len(exact)
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.dtype == torch.float32
        assert float((ours - theirs).norm() / theirs.norm()) < 5e-3
    assert any(not torch.equal(a, b) for a, b in zip(rounded, exact, strict=True))


def test_frozen_input_and_weights_get_no_gradient() -> None:
    layer = nn.Linear(8, 8)
    layer.weight.requires_grad_(False)
    x = torch.randn(100, 8)
    with Bf16Gradients():
        layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    torch.testing.assert_close(layer.bias.grad, torch.full((8,), 100.0))


def test_a_whole_pass_in_bfloat16_moves_log_likelihoods_little() -> None:
    """The bound that `precision: bf16` relies on, an order of magnitude below a clip of 0.02."""
    torch.manual_seed(0)
    shape = PolicyShape(11, 3, 1, 4, 4)
    chain = DiffusionConfig(denoising_steps=20, ft_denoising_steps=10)
    policy = DiffusionPolicy(DiffusionMlpConfig(mlp_dims=(128, 128, 128)), chain, shape)
    policy.start_finetuning()
    seen, reduction = {"state": torch.randn(64, 1, 11)}, LogProbReduction(4)
    noise = policy.draw_noise(64, torch.Generator().manual_seed(1))
    sample = policy.sample(seen, noise, reduction)
    for index in range(10):
        before, after = sample.chain[:, index], sample.chain[:, index + 1]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            rounded = policy.log_prob(seen, before, after, torch.full((64,), index), reduction)
        error = rounded - sample.log_prob[:, index]
        assert rounded.dtype == torch.float32
        assert 0.0 < float(error.pow(2).mean().sqrt()) < 2e-3


def test_small_batches_and_evaluation_are_left_alone() -> None:
    layer = nn.Linear(8, 8)
    few, many = torch.randn(4, 8), torch.randn(100, 8)
    with Bf16Gradients():
        assert type(layer(few).grad_fn).__name__ == "AddmmBackward0"
        assert "Bf16" in type(layer(many).grad_fn).__name__
        with torch.no_grad():
            assert layer(many).grad_fn is None
