# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Building blocks of the networks: activations, time embedding, plain and residual MLP."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError, unknown_name_message

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "ReLU": nn.ReLU,
    "ELU": nn.ELU,
    "GELU": nn.GELU,
    "Tanh": nn.Tanh,
    "Mish": nn.Mish,
    "Softplus": nn.Softplus,
    "Identity": nn.Identity,
}
_BLOCK_NORM_EPS = 1e-6

PreparedSteps = Callable[[int, Tensor], Tensor]
"""From a denoising step's number and its noisy chunks (B, H, A) to the predicted noise."""


def make_activation(name: str) -> nn.Module:
    """Return a new activation module by its name.

    Raises:
        ConfigError: the name is not in `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(unknown_name_message("activation", name, ACTIVATIONS))
    return ACTIVATIONS[name]()


class SinusoidalEmbedding(nn.Module):
    """Sine and cosine features of the denoising time, geometric frequencies 1 ... 1/10000."""

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        """Prepare the frequencies.

        Args:
            dim: even output size, at least 4.
        """
        super().__init__()
        if dim < 4 or dim % 2:
            raise ConfigError(f"time_dim is {dim}; use an even number of at least 4")
        half = dim // 2
        exponent = torch.arange(half, dtype=torch.float32) * (-math.log(10000.0) / (half - 1))
        self.register_buffer("frequencies", torch.exp(exponent), persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        """Return (B, dim) features of the times (B,)."""
        angle = time.to(self.frequencies.dtype).unsqueeze(-1) * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class PlainMlp(nn.Module):
    """Linear layers with (LayerNorm ->) activation in between; the last layer is linear."""

    def __init__(self, dims: Sequence[int], activation: str, use_layernorm: bool = False) -> None:
        """Build the layers.

        Args:
            dims: sizes d_0 ... d_n, so n linear layers.
            activation: name in `ACTIVATIONS`.
            use_layernorm: normalise the hidden layers before the activation.
        """
        super().__init__()
        layers: list[nn.Module] = []
        for index, (size_in, size_out) in enumerate(itertools.pairwise(dims)):
            layers.append(nn.Linear(size_in, size_out))
            if index < len(dims) - 2:
                if use_layernorm:
                    layers.append(nn.LayerNorm(size_out))
                layers.append(make_activation(activation))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, d_0) to (B, d_n)."""
        return self.layers(x)


class ResidualBlock(nn.Module):
    """Pre-activation block: x + l2(act(norm2(l1(act(norm1(x))))))."""

    def __init__(self, width: int, activation: str, use_layernorm: bool) -> None:
        """Build two linear layers of equal width and their optional norms."""
        super().__init__()
        self.l1 = nn.Linear(width, width)
        self.l2 = nn.Linear(width, width)
        self.norm1: nn.Module = nn.Identity()
        self.norm2: nn.Module = nn.Identity()
        if use_layernorm:
            self.norm1 = nn.LayerNorm(width, eps=_BLOCK_NORM_EPS)
            self.norm2 = nn.LayerNorm(width, eps=_BLOCK_NORM_EPS)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        hidden = self.l1(self.activation(self.norm1(x)))
        return x + self.l2(self.activation(self.norm2(hidden)))


class ResidualMlp(nn.Module):
    """Linear in, (m - 1) / 2 residual blocks, linear out, for m hidden sizes that are all equal."""

    def __init__(self, dims: Sequence[int], activation: str, use_layernorm: bool = False) -> None:
        """Build the layers.

        Args:
            dims: (in, w, ..., w, out) with an odd number of hidden entries w.
            activation: name in `ACTIVATIONS`.
            use_layernorm: LayerNorm inside the blocks.

        Raises:
            ConfigError: an even number of hidden entries, or unequal widths.
        """
        super().__init__()
        hidden = list(dims[1:-1])
        if len(hidden) % 2 == 0 or len(set(hidden)) != 1:
            raise ConfigError(
                f"a residual MLP needs an odd number of equal hidden sizes, got mlp_dims={hidden}; "
                "for example [512, 512, 512], or set residual_style to false"
            )
        width = hidden[0]
        blocks = [
            ResidualBlock(width, activation, use_layernorm) for _ in range((len(hidden) - 1) // 2)
        ]
        self.layers = nn.Sequential(nn.Linear(dims[0], width), *blocks, nn.Linear(width, dims[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in) to (B, out)."""
        return self.layers(x)


def make_mlp(
    dims: Sequence[int], activation: str, residual: bool, use_layernorm: bool
) -> PlainMlp | ResidualMlp:
    """Return a plain or residual MLP with these layer sizes."""
    kind = ResidualMlp if residual else PlainMlp
    return kind(dims, activation, use_layernorm)
