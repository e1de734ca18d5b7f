# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The noise level eta of DDIM steps as something that fine-tuning can learn.

Learning needs a gradient where learning starts. The reference starts at the upper limit, where the
tanh and the clamp below have none; here a free eta starts at least one hundredth of the range
inside its limits, and the clamp lets gradients pass that point back inside.

Legend: B batch, A action size, To stacked observations, Do observation size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sim_training.diffusion.config import DiffusionConfig
from sim_training.networks.layers import PlainMlp
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape

_INSIDE = 0.01
_INITIAL_GAIN = 0.01


class FreeEta(nn.Module):
    """One eta, or one per action dimension: min + (max - min) (tanh(logit) + 1) / 2."""

    def __init__(self, config: DiffusionConfig, size: int) -> None:
        """Create the logits.

        Args:
            config: start and range.
            size: 1 or A.
        """
        super().__init__()
        self._low, self._range = config.eta_min, config.eta_max - config.eta_min
        share = min(max((config.eta - self._low) / self._range, _INSIDE), 1.0 - _INSIDE)
        start = torch.atanh(torch.tensor(2.0 * share - 1.0))
        self.logit = nn.Parameter(start.repeat(size))

    def forward(self, observation: TensorObservation) -> Tensor:
        """Return eta (1, 1, size), the same for every observation."""
        return (self._low + self._range * (torch.tanh(self.logit) + 1.0) / 2.0).view(1, 1, -1)


class StateEta(nn.Module):
    """Eta of a state, for all or for each action dimension: clamp(base + tanh(mlp(state)))."""

    def __init__(self, config: DiffusionConfig, shape: PolicyShape, size: int) -> None:
        """Create the MLP so that it starts close to the base value.

        Args:
            config: start, range and layers.
            shape: sizes of the observation.
            size: 1 or A.
        """
        super().__init__()
        self._base, self._low, self._high = config.eta, config.eta_min, config.eta_max
        dims = [shape.cond_steps * shape.obs_dim, *config.eta_mlp_dims, size]
        self.mlp = PlainMlp(dims, "ReLU")
        for layer in self.mlp.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight, gain=_INITIAL_GAIN)
                nn.init.zeros_(layer.bias)

    def forward(self, observation: TensorObservation) -> Tensor:
        """Return eta (B, 1, size)."""
        change = torch.tanh(self.mlp(observation["state"].flatten(1)))
        return _InwardClamp.apply(self._base + change, self._low, self._high).unsqueeze(1)


EtaModel = FreeEta | StateEta


def make_eta(config: DiffusionConfig, shape: PolicyShape) -> EtaModel | None:
    """Return the learnable eta, or None where eta is a constant."""
    if not config.learn_eta:
        return None
    size = shape.action_dim if config.eta_kind in ("per_dimension", "per_state_and_action") else 1
    if config.eta_kind in ("per_state", "per_state_and_action"):
        return StateEta(config, shape, size)
    return FreeEta(config, size)


class _InwardClamp(torch.autograd.Function):
    """A clamp that stops a gradient only where descending it would leave the range further."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:  # noqa: ANN401
        """Clamp x to [low, high]."""
        ctx.save_for_backward(x)
        ctx.limits = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """Drop the gradients that point outwards."""
        (x,) = ctx.saved_tensors
        low, high = ctx.limits
        outwards = ((x >= high) & (gradient < 0)) | ((x <= low) & (gradient > 0))
        return gradient.masked_fill(outwards, 0.0), None, None
