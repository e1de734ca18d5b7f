# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings that several networks share: activations, the image encoder, and checks of sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sim_training.checks import require

Activation = Literal["ReLU", "ELU", "GELU", "Tanh", "Mish", "Softplus", "Identity"]


def require_positive(owner: str, **values: int | float) -> None:
    """Raise a ConfigError unless all these settings of `owner` are positive."""
    for name, value in values.items():
        require(value > 0, f"{owner}.{name} is {value}; it must be positive")


def require_layers(owner: str, sizes: Sequence[int], residual: bool = False) -> None:
    """Raise a ConfigError unless a (residual) MLP can have these hidden sizes."""
    require(
        all(size > 0 for size in sizes),
        f"{owner} is {list(sizes)}; every layer size must be positive",
    )
    require(
        not residual or (len(sizes) % 2 == 1 and len(set(sizes)) == 1),
        f"{owner} is {list(sizes)}; a residual MLP needs an odd number of equal hidden sizes, for "
        "example [512, 512, 512], or set residual_style to false",
    )


def require_heads(owner: str, width: int, heads: int) -> None:
    """Raise a ConfigError unless the attention heads share the width evenly."""
    require(
        width % heads == 0,
        f"{owner}.embed_dim is {width} and num_heads is {heads}; embed_dim must be a multiple of "
        "num_heads",
    )


@dataclass(frozen=True)
class VisionConfig:
    """Image encoder: a small vision transformer, then a spatial embedding per camera."""

    patch_style: Literal["overlapping", "plain"] = "overlapping"
    """Patch stem: two convolutions whose patches overlap, or one 8x8 convolution of stride 8."""
    patch_norm: bool = False
    """Normalise each channel of the overlapping stem over the image."""
    embed_dim: int = 128
    """Features of an image patch."""
    num_heads: int = 4
    """Attention heads; must divide embed_dim."""
    depth: int = 1
    """Transformer layers."""
    spatial_dim: int = 128
    """Features that the spatial embedding returns per camera."""
    random_shift_px: int = 4
    """Training images are shifted by up to this many pixels either way. 0: off."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        require_positive(
            "vision",
            embed_dim=self.embed_dim,
            num_heads=self.num_heads,
            depth=self.depth,
            spatial_dim=self.spatial_dim,
        )
        require_heads("vision", self.embed_dim, self.num_heads)
        require(
            self.random_shift_px >= 0,
            f"vision.random_shift_px is {self.random_shift_px}; it must not be negative",
        )
