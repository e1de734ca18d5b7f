# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the networks: layers, activations, encoders.

A policy's network is chosen by `name`: "mlp" and "unet" predict noise for a diffusion policy, the
others a Gaussian or a mixture of Gaussians over the whole chunk.
"""

from dataclasses import dataclass
from typing import Literal

from sim_training.checks import require
from sim_training.networks.config_parts import (
    Activation,
    VisionConfig,
    require_layers,
    require_positive,
)
from sim_training.networks.gaussian_config import (
    GaussianConfig,
    GaussianMlpConfig,
    GaussianNetworkConfig,
    GaussianTransformerConfig,
    GmmMlpConfig,
    GmmNetworkConfig,
    GmmTransformerConfig,
)

__all__ = [
    "Activation",
    "CriticConfig",
    "DiffusionMlpConfig",
    "DiffusionNetworkConfig",
    "DiffusionUnetConfig",
    "GaussianConfig",
    "GaussianMlpConfig",
    "GaussianNetworkConfig",
    "GaussianTransformerConfig",
    "GmmMlpConfig",
    "GmmNetworkConfig",
    "GmmTransformerConfig",
    "NetworkConfig",
    "QCriticConfig",
    "VisionConfig",
]


@dataclass(frozen=True)
class DiffusionMlpConfig:
    """MLP that predicts the noise in a whole action chunk."""

    name: Literal["mlp"] = "mlp"
    """Selects the diffusion MLP."""
    mlp_dims: tuple[int, ...] = (512, 512, 512)
    """Hidden sizes; residual style needs an odd number of equal ones (3: one block, 7: three)."""
    cond_mlp_dims: tuple[int, ...] = ()
    """Sizes of the observation encoder; empty feeds the observation in directly."""
    time_dim: int = 16
    """Size of the denoising-time feature."""
    activation_type: Activation = "Mish"
    """After each hidden layer."""
    residual_style: bool = True
    """Skip connections around every two hidden layers; false: a plain MLP."""
    use_layernorm: bool = False
    """Normalise the features before each activation."""
    obs_fourier_features: int = 0
    """Octaves of sin/cos features appended to the observation. 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """Furniture tasks: pairs like "tool:leg4" whose relative pose, computed from the observation,
    the network sees as well; millimetre tasks need it. Empty: off."""
    vision: VisionConfig | None = None
    """Image encoder; none for policies that see the state only."""

    def __post_init__(self) -> None:
        """Check the layer sizes."""
        require_layers("mlp_dims", self.mlp_dims, self.residual_style)
        require_layers("cond_mlp_dims", self.cond_mlp_dims)


@dataclass(frozen=True)
class DiffusionUnetConfig:
    """One-dimensional UNet over the chunk that predicts the noise in it."""

    name: Literal["unet"] = "unet"
    """Selects the UNet."""
    dim: int = 64
    """Channels of the first level."""
    dim_mults: tuple[int, ...] = (1, 2)
    """Channels of each level as a multiple of `dim`; every level but the last halves the chunk, so
    horizon_steps must be divisible by 2^(levels - 1)."""
    cond_mlp_dims: tuple[int, ...] = ()
    """Sizes of the observation encoder; empty feeds the observation in directly."""
    time_dim: int = 16
    """Size of the denoising-time feature."""
    kernel_size: int = 5
    """Of the convolutions along the chunk; odd."""
    n_groups: int = 8
    """Groups of the group normalisation; must divide every level's channels."""
    groupnorm_eps: float = 1e-5
    """Added to the variance in the group normalisation."""
    cond_predict_scale: bool = True
    """Observation and time scale and shift the features; false: shift only."""
    smaller_encoder: bool = False
    """One linear layer instead of three from observation and time to scale and shift."""
    activation_type: Activation = "Mish"
    """After each normalised convolution."""
    obs_fourier_features: int = 0
    """As for the MLP; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the MLP; empty: off."""
    vision: VisionConfig | None = None
    """Image encoder; none for policies that see the state only."""

    def __post_init__(self) -> None:
        """Check the channels against the groups."""
        require_positive(
            "unet",
            dim=self.dim,
            n_groups=self.n_groups,
            kernel_size=self.kernel_size,
            groupnorm_eps=self.groupnorm_eps,
            levels=len(self.dim_mults),
        )
        require_layers("dim_mults", self.dim_mults)
        require_layers("cond_mlp_dims", self.cond_mlp_dims)
        require(
            self.kernel_size % 2 == 1,
            f"kernel_size is {self.kernel_size}; use an odd number, so that the chunk keeps its "
            "length",
        )
        channels = [self.dim, *(self.dim * multiple for multiple in self.dim_mults)]
        require(
            all(size % self.n_groups == 0 for size in channels),
            f"n_groups is {self.n_groups} but the levels have {channels} channels; choose n_groups "
            "that divides all of them",
        )


@dataclass(frozen=True)
class CriticConfig:
    """State-value network."""

    mlp_dims: tuple[int, ...] = (256, 256, 256)
    """Hidden sizes; residual style needs an odd number of equal ones."""
    activation_type: Activation = "Mish"
    """After each hidden layer."""
    residual_style: bool = True
    """Skip connections around every two hidden layers; false: a plain MLP."""
    use_layernorm: bool = False
    """Normalise the features before each activation."""
    obs_fourier_features: int = 0
    """As for the actor; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the actor; empty: off."""
    vision: VisionConfig | None = None
    """Own image encoder; none for critics that see the state only."""

    def __post_init__(self) -> None:
        """Check the layer sizes."""
        require_layers("critic.mlp_dims", self.mlp_dims, self.residual_style)


@dataclass(frozen=True)
class QCriticConfig:
    """State-action value network: one or two values of an observation and a chunk."""

    mlp_dims: tuple[int, ...] = (256, 256, 256)
    activation_type: Activation = "Mish"
    residual_style: bool = True
    use_layernorm: bool = False
    double_q: bool = True
    """Two networks, whose smaller value guards against overestimation."""
    obs_fourier_features: int = 0
    """As for the actor; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the actor; empty: off."""
    vision: VisionConfig | None = None
    """Own image encoder; none for critics that see the state only."""

    def __post_init__(self) -> None:
        """Check the layer sizes."""
        require_layers("critic.mlp_dims", self.mlp_dims, self.residual_style)


DiffusionNetworkConfig = DiffusionMlpConfig | DiffusionUnetConfig
NetworkConfig = (
    DiffusionMlpConfig
    | DiffusionUnetConfig
    | GaussianMlpConfig
    | GmmMlpConfig
    | GaussianTransformerConfig
    | GmmTransformerConfig
)
"""Settings of any policy's network."""
