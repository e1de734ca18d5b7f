# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of Gaussian and mixture policies: their networks and standard deviations."""

from dataclasses import dataclass
from typing import Literal

from sim_training.checks import require
from sim_training.networks.config_parts import (
    Activation,
    VisionConfig,
    require_heads,
    require_layers,
    require_positive,
)


@dataclass(frozen=True)
class GaussianConfig:
    """Standard deviation, squashing and clipping of Gaussian and mixture policies."""

    std: Literal["fixed", "per_dimension", "head"] = "fixed"
    """A constant; one learnable number per action dimension (and mode), the same along the chunk
    and for all observations; or predicted from the observation."""
    fixed_std: float = 0.1
    """The constant, or where the learnable numbers start, in normalised action units."""
    std_min: float = 0.01
    """Least standard deviation that learning may reach."""
    std_max: float = 1.0
    """Largest standard deviation that learning may reach."""
    std_range: Literal["tanh", "clamp"] = "tanh"
    """How a predicted log-variance is kept in its range: smoothly, or cut off."""
    tanh_mean: bool = True
    """Squash the means to [-1, 1]."""
    randn_clip_value: float = 3.0
    """Draws stay within this many deviations of the mean; mixtures are not clipped."""
    final_action_clip_value: float | None = 1.0
    """The executed chunk is clamped to this, in normalised units; None as in the reference."""

    def __post_init__(self) -> None:
        """Check each number and the range of the deviation."""
        require_positive(
            "gaussian",
            fixed_std=self.fixed_std,
            std_min=self.std_min,
            randn_clip_value=self.randn_clip_value,
        )
        require(
            self.std_min < self.std_max,
            f"gaussian.std_min is {self.std_min} and std_max is {self.std_max}; std_min must be "
            "the smaller one",
        )
        require(
            self.std != "per_dimension" or self.std_min <= self.fixed_std <= self.std_max,
            f"gaussian.fixed_std is {self.fixed_std} but learning must stay between std_min "
            f"{self.std_min} and std_max {self.std_max}; start inside that range",
        )


@dataclass(frozen=True)
class GaussianMlpConfig:
    """MLP that predicts the mean of a Gaussian over the chunk."""

    name: Literal["gaussian_mlp"] = "gaussian_mlp"
    """Selects the Gaussian MLP."""
    mlp_dims: tuple[int, ...] = (512, 512, 512)
    """Hidden sizes. A residual MLP needs an odd number of equal ones, and an even number if heads
    for mean and deviation share it, because its last size is then that of the shared output."""
    activation_type: Activation = "Mish"
    """After each hidden layer."""
    residual_style: bool = True
    """Skip connections around every two hidden layers; false: a plain MLP."""
    use_layernorm: bool = False
    """Normalise the features before each activation."""
    obs_fourier_features: int = 0
    """As for the diffusion MLP; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the diffusion MLP; empty: off."""
    vision: VisionConfig | None = None
    """Image encoder; none for policies that see the state only."""

    def __post_init__(self) -> None:
        """Check the layer sizes; whether they fit a residual trunk depends on the deviation."""
        require_layers("mlp_dims", self.mlp_dims)


@dataclass(frozen=True)
class GmmMlpConfig:
    """MLPs that predict means and weights of a mixture of Gaussians over the chunk."""

    name: Literal["gmm_mlp"] = "gmm_mlp"
    """Selects the mixture MLP."""
    num_modes: int = 5
    """Gaussians in the mixture."""
    mlp_dims: tuple[int, ...] = (512, 512, 512)
    """As for the diffusion MLP, in each of the networks for means and weights."""
    activation_type: Activation = "Mish"
    """After each hidden layer."""
    residual_style: bool = True
    """Skip connections around every two hidden layers; false: a plain MLP."""
    use_layernorm: bool = False
    """Normalise the features before each activation."""
    obs_fourier_features: int = 0
    """As for the diffusion MLP; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the diffusion MLP; empty: off."""
    vision: VisionConfig | None = None
    """Image encoder; none for policies that see the state only."""

    def __post_init__(self) -> None:
        """Check the layer sizes and the number of modes."""
        require_layers("mlp_dims", self.mlp_dims, self.residual_style)
        require_positive("gmm_mlp", num_modes=self.num_modes)


@dataclass(frozen=True)
class GaussianTransformerConfig:
    """Transformer decoder over the chunk that predicts the mean of a Gaussian."""

    name: Literal["gaussian_transformer"] = "gaussian_transformer"
    """Selects the Gaussian transformer."""
    embed_dim: int = 96
    """Width of the tokens."""
    num_heads: int = 4
    """Attention heads; must divide embed_dim."""
    num_layers: int = 4
    """Decoder layers."""
    obs_fourier_features: int = 0
    """As for the diffusion MLP; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the diffusion MLP; empty: off."""
    vision: VisionConfig | None = None
    """Image encoder; none for policies that see the state only."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        require_positive(
            self.name,
            embed_dim=self.embed_dim,
            num_heads=self.num_heads,
            num_layers=self.num_layers,
        )
        require_heads(self.name, self.embed_dim, self.num_heads)


@dataclass(frozen=True)
class GmmTransformerConfig:
    """Transformer decoder over the chunk that predicts a mixture of Gaussians."""

    name: Literal["gmm_transformer"] = "gmm_transformer"
    """Selects the mixture transformer."""
    num_modes: int = 5
    """Gaussians in the mixture."""
    embed_dim: int = 96
    """Width of the tokens."""
    num_heads: int = 4
    """Attention heads; must divide embed_dim."""
    num_layers: int = 4
    """Decoder layers."""
    obs_fourier_features: int = 0
    """As for the diffusion MLP; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the diffusion MLP; empty: off."""
    vision: VisionConfig | None = None
    """Image encoder; none for policies that see the state only."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        require_positive(
            self.name,
            num_modes=self.num_modes,
            embed_dim=self.embed_dim,
            num_heads=self.num_heads,
            num_layers=self.num_layers,
        )
        require_heads(self.name, self.embed_dim, self.num_heads)


GaussianNetworkConfig = GaussianMlpConfig | GaussianTransformerConfig
GmmNetworkConfig = GmmMlpConfig | GmmTransformerConfig
