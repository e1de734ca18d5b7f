# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gradients in bfloat16: the forward pass is untouched, the gradients are close."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from sim_training.networks.layers import ResidualMlp
from sim_training.networks.mixed_precision import Bf16Gradients


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


def test_small_batches_and_evaluation_are_left_alone() -> None:
    layer = nn.Linear(8, 8)
    few, many = torch.randn(4, 8), torch.randn(100, 8)
    with Bf16Gradients():
        assert type(layer(few).grad_fn).__name__ == "AddmmBackward0"
        assert "Bf16" in type(layer(many).grad_fn).__name__
        with torch.no_grad():
            assert layer(many).grad_fn is None
